"""Finding the files of a data set by id."""
import os
from collections.abc import Sequence
from pathlib import Path

#: In the order in which one is chosen where an id has several.
VIDEO_SUFFIXES = ('.mp4', '.avi', '.webm', '.mkv', '.mov')
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp')


class MediaFolder:
    """The media files of one folder, listed once: asking for 10,000 ids touches the disk once.

    So is each subfolder, when the first file in it is asked for.

    Args:
        folder: Where the files lie.
        suffixes: Which files count, in lower case, best first. A subfolder (of
            frames) counts too, after all of them.
    """

    def __init__(self, folder: str | Path, suffixes: Sequence[str] = VIDEO_SUFFIXES) -> None:
        self._folder, self._suffixes = Path(folder), suffixes
        self._below: dict[str, MediaFolder | None] = {}
        ranks = {suffix: rank for rank, suffix in enumerate(suffixes)}
        best: dict[str, tuple[int, str]] = {}
        self._names: dict[str, str] = {}
        self._others: dict[str, str] = {}
        with os.scandir(folder) as entries:
            for entry in entries:
                stem, suffix = os.path.splitext(entry.name)
                rank = ranks.get(suffix.lower())
                if rank is not None:
                    self._names[entry.name] = entry.path
                elif entry.is_dir():
                    stem, rank = entry.name, len(ranks)
                else:
                    self._others[entry.name] = entry.path
                    continue
                best[stem] = min(best.get(stem, (rank, entry.path)), (rank, entry.path))
        self._stems = {stem: path for stem, (_, path) in best.items()}

    def find(self, item_id: str) -> str | None:
        """The path of the file called ``item_id``, with or without its suffix; None if absent.

        A suffix that is part of ``item_id`` may be any, such as ``.gif``.
        ``'train2014/x.jpg'`` is ``'x.jpg'`` in the subfolder ``train2014``.
        """
        subfolder, slash, name = item_id.partition('/')
        if slash:
            below = self._subfolder(subfolder)
            return below.find(name) if below else None
        return self._names.get(item_id) or self._stems.get(item_id) or self._others.get(item_id)

    def _subfolder(self, name: str) -> 'MediaFolder | None':
        if name not in self._below:
            folder = self._folder / name
            self._below[name] = MediaFolder(folder, self._suffixes) if folder.is_dir() else None
        return self._below[name]
