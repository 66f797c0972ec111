"""Configuration of Sphinx: ``sphinx-build -W docs build/docs``."""
import re
import sys
from pathlib import Path

from docutils import nodes

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from mmcma import __version__  # noqa: E402

project = 'mmcma'
release = __version__
extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'registered_parts', 'public_names']

html_theme = 'furo'
html_title = f'mmcma {release}'
html_show_copyright = False
html_static_path = ['_static']
html_css_files = ['tables.css', 'plots.css']

myst_heading_anchors = 3
# A folder of JSON files, which is no page.
nitpick_ignore = [('myst', 'results/')]

add_module_names = False
maximum_signature_line_length = 80
napoleon_custom_sections = [('Attributes', 'params_style'), ('Splits', 'params_style')]
toc_object_entries_show_parents = 'hide'


def keep_figures_whole(app, doctree: nodes.document) -> None:
    """A figure stays in one line with its unit or its spread, in narrow tables too."""
    for text in doctree.findall(nodes.Text):
        if not isinstance(text.parent, nodes.literal | nodes.literal_block):
            whole = re.sub(r'(?<=\d) (?=[±%]|(?:M|MB|GB|MiB|GiB|ms|s|min)\b)|(?<=±) ', '\N{NO-BREAK SPACE}', text)
            text.parent.replace(text, nodes.Text(re.sub(r'(?<=\d)–(?=\d)', '–\N{WORD JOINER}', whole)))


def setup(app) -> None:
    app.connect('doctree-read', keep_figures_whole)
