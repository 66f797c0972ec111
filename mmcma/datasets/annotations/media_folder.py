"""Finding the files of a data set by id."""
import os
from collections.abc import Sequence
from pathlib import Path

from mmcma.datasets.annotations.texts import one_name

#: In the order in which one is chosen where an id has several.
VIDEO_SUFFIXES = ('.mp4', '.avi', '.webm', '.mkv', '.mov', '.m4v', '.ts', '.mts', '.m2ts', '.mpg', '.mpeg', '.wmv',
                  '.3gp', '.flv', '.ogv', '.gif')
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.jfif', '.tif', '.tiff', '.avif', '.heic')


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

    def _subfolder(self, name: str) -> 'MediaFolder | None':
        if name not in self._below:
            folder = self._folders.get(name)
            self._below[name] = MediaFolder(folder, self._suffixes) if folder else None
        return self._below[name]
