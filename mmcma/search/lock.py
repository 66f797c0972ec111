"""One writer at a time."""
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mmcma.search.tables import is_local
from mmcma.utils.errors import DataError

#: Seconds to wait: decoders may outlive an indexing that was killed for a moment.
PATIENCE = 3


@contextmanager
def writer_lock(gallery: str) -> Iterator[None]:
    """A context in which no other process writes the gallery.

    Raises:
        DataError: Another one does, or its folder cannot be written.
    """
    if not is_local(gallery):
        yield
        return
    lock = FileLock(Path(gallery, 'lock'))
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        raise DataError(f'{gallery} is being written by another process; wait for it or stop it') from None
    except OSError as error:
        raise DataError(f'{gallery}: cannot be written ({error.strerror or error})') from error
    try:
        yield
    finally:
        lock.release()
