"""Items of a data set on one page: frames as the model sees them, captions and ids."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from mmcma.visualization.page import definitions, embedded_image, html_page

#: A test item may have 40 captions.
CAPTIONS_SHOWN = 6

_STYLE = '''
main { max-width: 1460px; }
section h2 { font-size: .98rem; font-weight: 600; overflow-wrap: anywhere; display: inline; margin-right: 10px; }
.items { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 18px; margin-top: 18px; }
.items section { margin: 0; grid-column: 1 / -1; }
.items section.narrow { grid-column: auto; }
.items section.broken { background: #fff7e6; border-color: #f0cf8a; }
section img { border-radius: 6px; margin-top: 8px; }
ul { margin: 8px 0 0; padding-left: 20px; }
.unread { color: var(--wrong); text-decoration: line-through; text-decoration-color: #d6454566; }'''


@dataclass(frozen=True)
class Shown:
    """One item on the sheet.

    Attributes:
        item_id: Its id.
        captions: What the model reads of each, and the rest.
        strip: Frames side by side as JPEG; None where they cannot be read.
        frames: How many the model sees.
        notes: Short facts.
        error: Why there are no frames.
    """
    item_id: str
    captions: Sequence[tuple[str, str]]
    strip: bytes | None = field(default=None, repr=False)
    frames: int = 0
    notes: Sequence[str] = ()
    error: str | None = None


def contact_sheet(title: str, subtitle: str, summary: Mapping[str, str], items: Sequence[Shown]) -> str:
    """The page, as HTML with everything inside."""
    body = f'<section>{definitions(summary)}</section><div class="items">{"".join(map(_section, items))}</div>'
    return html_page(title, subtitle, body, _STYLE)


def _section(item: Shown) -> str:
    chips = ''.join(f'<span class="chip">{escape(note)}</span>' for note in item.notes)
    image = embedded_image(item.strip, 'jpeg', f'frames of {item.item_id}') if item.strip else ''
    error = f'<p class="note">{escape(item.error)}</p>' if item.error else ''
    lines = [f'<li>{escape(read)}' + (f'<span class="unread">{escape(rest)}</span>' if rest else '') + '</li>'
             for read, rest in item.captions[:CAPTIONS_SHOWN]]
    if len(item.captions) > CAPTIONS_SHOWN:
        lines.append(f'<li class="note">and {len(item.captions) - CAPTIONS_SHOWN} more</li>')
    kind = 'broken' if item.error else 'narrow' if item.frames <= 2 else 'wide'
    return (f'<section class="{kind}"><h2>{escape(item.item_id)}</h2>{chips}{image}{error}'
            f'<ul>{"".join(lines)}</ul></section>')
