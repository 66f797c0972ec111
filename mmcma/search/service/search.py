"""The page's queries."""
from pathlib import Path
from threading import Lock

from mmcma.search import Gallery, Hit
from mmcma.search.service.cards import cards, message
from mmcma.utils.errors import MediaError, UserError

ANY_LENGTH = 'any length'
#: Seconds from and to, by the words of the page. An image lasts no time.
LENGTHS: dict[str, tuple[float, float] | None] = {
    ANY_LENGTH: None, 'images': (0, 0), 'up to 10 s': (1e-3, 10), '10 to 30 s': (10, 30),
    '30 s to 2 min': (30, 120), '2 to 10 min': (120, 600), 'over 10 min': (600, 1e9)}


class Search:
    """Answers queries with HTML, one at a time: neither the model's adapters nor the embedded engine are made for more.

    Args:
        gallery: An open one, with its model.
        results: How many to show.
        uploads: The folder of uploaded files: a request can name any file as one.
    """

    def __init__(self, gallery: Gallery, results: int, uploads: Path) -> None:
        self.gallery, self.results, self.uploads = gallery, results, uploads.resolve()
        self._lock = Lock()

    def __call__(self, text: str, upload: str | None, folder: str, length: str) -> str:
        """The answer to a text, or to an image or video where there is one.

        Args:
            text: The query, if nothing is uploaded.
            upload: Path of an uploaded file.
            folder: Only below it; empty for all.
            length: A key of ``LENGTHS``.
        """
        seconds, uploaded = LENGTHS[length], Path(upload) if upload else None
        if uploaded and not uploaded.resolve().is_relative_to(self.uploads):
            return message(f'{uploaded.name} was not uploaded', wrong=True)
        try:
            with self._lock:
                hits = self._find_like(uploaded, folder, seconds) if uploaded else \
                    self.gallery.search_text(text, self.results, folder=folder, seconds=seconds)
        except UserError as error:
            return message(str(error), wrong=True)
        return cards(hits, self.gallery.root) if hits else message('nothing found')

    def _find_like(self, uploaded: Path, folder: str, seconds: tuple[float, float] | None) -> list[Hit]:
        try:
            return self.gallery.search_path(uploaded, self.results, folder=folder, seconds=seconds)
        except MediaError as error:
            raise MediaError(f'{uploaded.name} is no video or image that can be read') from error
