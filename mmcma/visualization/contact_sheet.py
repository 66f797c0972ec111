"""Items of a data set on one page: frames as the model sees them, captions and ids."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mmcma.visualization.page import render

#: A test item may have 40 captions.
CAPTIONS_SHOWN = 6


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
    return render('contact_sheet.html.j2', title=title, subtitle=subtitle, summary=summary, items=items,
                  captions_shown=CAPTIONS_SHOWN)
