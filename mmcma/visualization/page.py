"""Pages of HTML that need nothing else: no script, no network, images inside."""
from base64 import b64encode
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

#: Colours of right and wrong answers, here and in images.
RIGHT, WRONG = '#2f9e55', '#d64545'

_TEMPLATES = Path(__file__).parent / 'templates'


def render(template_name: str, *, folder: Path | None = None, **values) -> str:
    """The page that a template makes; every value is text and is escaped.

    Templates extend ``base.html.j2``, which takes ``title`` and ``subtitle`` and has the blocks ``style`` (CSS)
    and ``body``; ``definitions.html.j2`` lists names and what they are. ``{{ image | data_uri('png') }}`` makes a
    ``src`` of bytes.

    Args:
        template_name: Name of the file.
        folder: Where a room of its own keeps templates; looked in before ``mmcma/visualization/templates``.
        values: What the template names.

    Raises:
        jinja2.UndefinedError: The template names what is not in ``values``.
    """
    folders = [_TEMPLATES] if folder is None else [folder, _TEMPLATES]
    pages = Environment(loader=FileSystemLoader(folders), autoescape=True, undefined=StrictUndefined,
                        trim_blocks=True, lstrip_blocks=True)
    pages.filters['data_uri'] = data_uri
    return pages.get_template(template_name).render(values, right=RIGHT, wrong=WRONG)


def data_uri(data: bytes, kind: str) -> Markup:
    """An image as the ``src`` of an ``<img>``; ``kind`` is ``'png'`` or ``'jpeg'``."""
    return Markup(f'data:image/{kind};base64,{b64encode(data).decode()}')
