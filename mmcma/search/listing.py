"""Which files a folder holds."""
import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mmcma.datasets.annotations.media_folder import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from mmcma.utils.errors import DataError

SUFFIXES = (*VIDEO_SUFFIXES, *IMAGE_SUFFIXES)


class ListedFile(NamedTuple):
    """A file as the folder's listing shows it.

    Attributes:
        path: Relative to the folder, with ``/``.
        size: Bytes.
        modified: Nanoseconds.
        digest: Digest of the content that the gallery has of it, should it have any.
    """
    path: str
    size: int
    modified: int
    digest: str | None = None


class Listing(NamedTuple):
    """What a folder holds.

    Attributes:
        found: Videos and images, by path.
        failed: Those that cannot be taken, and folders that cannot be listed, with the reason, by path.
        skipped: How many other files there are, by suffix in lower case.
    """
    found: dict[str, ListedFile]
    failed: dict[str, str]
    skipped: Counter[str]


def list_folder(folder: Path) -> Listing:
    """The files in a folder and below.

    Hidden ones are left out, and so is a link to what is listed under its own name; links to folders
    are not followed.

    Raises:
        DataError: It is no folder, or holds no videos or images.
    """
    if not folder.is_dir():
        raise DataError(f'{folder} is no folder')
    root, listing = folder.resolve(), Listing({}, {}, Counter())
    links: list[tuple[Path, ListedFile]] = []
    for file in _files(root, listing.failed):
        if file.suffix.lower() not in SUFFIXES:
            listing.skipped[file.suffix.lower()] += 1
            continue
        path = file.relative_to(root).as_posix()
        try:
            target, entry = _checked(file, path, root)
        except OSError as error:
            listing.failed[_shown(path)] = getattr(error, 'strerror', None) or str(error)
            continue
        if file.is_symlink():
            links.append((target, entry))
        else:
            listing.found[path] = entry
    taken = {root / path for path in listing.found}
    for target, entry in links:
        if target not in taken:
            taken.add(target)
            listing.found[entry.path] = entry
    if not listing.found and not listing.failed:
        raise DataError(f'{folder} holds no videos or images ({" ".join(SUFFIXES)})')
    return listing


def _files(root: Path, failed: dict[str, str]) -> Iterator[Path]:
    """All files that are not hidden, in the order of their names."""
    def unread(error: OSError) -> None:
        failed[_shown(Path(error.filename).relative_to(root).as_posix())] = error.strerror or str(error)

    for place, folders, names in os.walk(root, onerror=unread):
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        yield from (Path(place, name) for name in sorted(names) if not name.startswith('.'))


def _checked(file: Path, path: str, root: Path) -> tuple[Path, ListedFile]:
    """Where a file lies in truth, and what is known of it.

    Raises:
        OSError: It cannot be taken; the message says why.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        raise OSError('its name is not UTF-8') from None
    try:
        target = file.resolve(strict=True)
    except RuntimeError:
        raise OSError('a link that leads to itself') from None
    if not target.is_relative_to(root):
        raise OSError(f'a link that leads out of {root}')
    found = target.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError('no file but a pipe, a socket or a device')
    return target, ListedFile(path, found.st_size, found.st_mtime_ns)


def _shown(path: str) -> str:
    return os.fsencode(path).decode(errors='replace')
