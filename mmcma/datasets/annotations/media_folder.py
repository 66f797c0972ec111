"""Finding the files of a data set by name."""
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from mmcma.datasets.annotations.texts import one_name
from mmcma.utils.errors import DataError, short

#: In the order in which one is chosen where an id has several.
VIDEO_SUFFIXES = ('.mp4', '.avi', '.webm', '.mkv', '.mov', '.m4v', '.ts', '.mts', '.m2ts', '.mpg', '.mpeg', '.wmv',
                  '.3gp', '.flv', '.ogv', '.gif')
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.jfif', '.tif', '.tiff', '.avif', '.heic')
#: How many folders deep a name is looked for.
DEPTH = 4


class MediaFolder:
    """The media files of one folder, listed once: asking for 10,000 ids touches the disk once.

    A name is one whether its accents are composed (NFC) or not (NFD, as of older Macs).

    So is each subfolder, when the first file in it is asked for.

    Args:
        folder: Where the files lie.
        suffixes: Which files count, in lower case, best first. A subfolder (of
            frames) counts too, after all of them.
    """

    def __init__(self, folder: str | Path, suffixes: Sequence[str] = VIDEO_SUFFIXES) -> None:
        self._suffixes = suffixes
        self._below: dict[str, MediaFolder | None] = {}
        ranks = {suffix: rank for rank, suffix in enumerate(suffixes)}
        best: dict[str, tuple[int, str]] = {}
        self._folders: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._others: dict[str, str] = {}
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name, reverse=True):  # of two forms the first counts
                name = one_name(entry.name)
                stem, suffix = os.path.splitext(name)
                rank = ranks.get(suffix.lower())
                if entry.is_dir():
                    self._folders[name] = entry.path
                if rank is not None:
                    self._names[name] = entry.path
                elif entry.is_dir():
                    stem, rank = name, len(ranks)
                else:
                    self._others[name] = entry.path
                    continue
                best[stem] = min(best.get(stem, (rank, entry.path)), (rank, entry.path))
        self._stems = {stem: path for stem, (_, path) in best.items()}

    def find(self, item_id: str) -> str | None:
        """The path of the file called ``item_id``, with or without its suffix; None if absent.

        A suffix that is part of ``item_id`` may be any, such as ``.gif``.
        ``'train2014/x.jpg'`` is ``'x.jpg'`` in the subfolder ``train2014``.
        """
        subfolder, slash, name = one_name(item_id).partition('/')
        if slash:
            below = self._subfolder(subfolder)
            return below.find(name) if below else None
        return self._names.get(subfolder) or self._stems.get(subfolder) or self._others.get(subfolder)

    def find_below(self, names: Collection[str], depth: int = DEPTH) -> dict[str, list[str]]:
        """The paths of files of these names in the subfolders, at most ``depth`` folders deep, by name.

        A subfolder that is called as one of them is that item, of frames, and not looked into.
        """
        wanted, found = {one_name(name) for name in names}, dict[str, list[str]]()
        for folder in self._subfolders(wanted, depth):
            for name in wanted & (folder._names.keys() | folder._stems.keys() | folder._others.keys()):
                found.setdefault(name, []).append(str(folder.find(name)))
        return found

    def _subfolders(self, skipped: set[str], depth: int) -> Iterator['MediaFolder']:
        for name in self._folders if depth else ():
            if name not in skipped and (folder := self._subfolder(name)) is not None:
                yield folder
                yield from folder._subfolders(skipped, depth - 1)

    def _subfolder(self, name: str) -> 'MediaFolder | None':
        if name not in self._below:
            folder = self._folders.get(name)
            self._below[name] = MediaFolder(folder, self._suffixes) if folder else None
        return self._below[name]


def find_files(folder: str | Path, suffixes: Sequence[str], names: Sequence[Sequence[str]], *,
               below: bool) -> list[str | None]:
    """The file of each item, known by any of its names.

    Args:
        folder: Where the files lie.
        suffixes: As of :class:`MediaFolder`.
        names: What the file of each item may be called, the likeliest first.
        below: Whether one that is not there may lie in any subfolder, by a name that says none.

    Returns:
        A path for each item; None where there is none.

    Raises:
        DataError: Two subfolders have a file of that name.
    """
    media = MediaFolder(folder, suffixes)
    found = [next(filter(None, map(media.find, own)), None) for own in names]
    missing = {one_name(name) for own, path in zip(names, found) if below and path is None
               for name in own if '/' not in name}
    elsewhere = media.find_below(missing) if missing else {}
    for name, paths in elsewhere.items():
        if len(paths) > 1:
            raise DataError(f'{folder}: {short(name)} lies in {paths[0]} and in {paths[1]}; which is meant? Set '
                            "data_prefix=dict(visual=...) to the folder of those that are, or remove the others")
    return [path or next((elsewhere[one_name(name)][0] for name in own if one_name(name) in elsewhere), None)
            for own, path in zip(names, found)]


def lies_elsewhere(root: str | Path, suffixes: Sequence[str], names: Collection[str], key: str) -> str:
    """Where below ``root`` files of these names lie, as a sentence with the ``data_prefix`` that finds them; or ``''``.

    Args:
        root: ``data_root``.
        suffixes: As of :class:`MediaFolder`.
        names: Of a few files that are missing.
        key: Of ``data_prefix``: ``'visual'`` or ``'ann'``.
    """
    if not str(root) or not os.path.isdir(root):
        return ''
    lasts = [name.rpartition('/')[2] for name in names]
    found = [path for paths in MediaFolder(root, suffixes).find_below(lasts).values() for path in paths]
    if not found:
        return ''
    folder = os.path.relpath(os.path.commonpath([os.path.dirname(path) for path in found]), root)
    prefix = '' if folder == os.curdir else folder
    return f' But there is {found[0]}: set data_prefix=dict({key}={prefix!r}).'


def without_suffix(name: str, suffixes: Sequence[str]) -> str:
    """``name`` without the suffix of a media file, if it has one of ``suffixes``."""
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in suffixes else name
