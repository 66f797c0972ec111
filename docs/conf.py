"""Configuration of Sphinx: ``sphinx-build -W docs build/docs``."""
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from mmcma import __version__  # noqa: E402

project = 'mmcma'
release = __version__
extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'registered_parts', 'public_names']

html_theme = 'furo'
html_title = f'mmcma {release}'
html_show_copyright = False

myst_heading_anchors = 3
# A folder of JSON files, which is no page.
nitpick_ignore = [('myst', 'results/')]

add_module_names = False
maximum_signature_line_length = 80
napoleon_custom_sections = [('Attributes', 'params_style'), ('Splits', 'params_style')]
toc_object_entries_show_parents = 'hide'
