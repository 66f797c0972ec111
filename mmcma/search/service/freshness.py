"""When a running service takes up what an indexing has committed."""
import time
from threading import Lock

from mmcma.search import Gallery

#: Seconds between two looks for new moments.
REFRESH_SECONDS = 1.0


class Freshness:
    """A dependency of routes: before they answer, the gallery takes up new moments; others go on with what there is."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._refreshing, self._fresh_until = Lock(), 0.0

    def __call__(self) -> None:
        if time.monotonic() > self._fresh_until and self._refreshing.acquire(blocking=False):
            try:
                self._gallery.refresh()
                self._fresh_until = time.monotonic() + REFRESH_SECONDS
            finally:
                self._refreshing.release()
