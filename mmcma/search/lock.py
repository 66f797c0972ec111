"""One writer at a time."""
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mmcma.search.manifest import GalleryManifest
from mmcma.search.tables import is_local
from mmcma.utils.errors import DataError

#: Seconds to wait: decoders may outlive an indexing that was killed for a moment.
PATIENCE = 3
#: Seconds without a commit after which a writer elsewhere is taken for dead.
SILENCE = 60


@contextmanager
def writer_lock(gallery: str) -> Iterator[None]:
    """A context in which no other process of this machine writes a gallery that is a folder.

    Others are held off by :func:`check_idle` and by their commits, which are refused where this
    process has made one since they looked.

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


def check_idle(gallery: str, manifest: GalleryManifest) -> None:
    """Refuses a gallery at a URI in which another machine's indexing seems to be under way, with a DataError."""
    silent = time.time() - manifest.written
    if not is_local(gallery) and not manifest.complete and silent < SILENCE:
        raise DataError(f'{gallery} was written {max(0, silent):.0f} s ago by an indexing that is not at its end; if '
                        f'that was stopped, try again in {SILENCE - silent:.0f} s')
