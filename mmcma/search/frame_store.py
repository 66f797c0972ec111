"""Frame embeddings of a gallery's items: memory-mapped shards, and a manifest of what lies where."""
import errno
import json
import os
from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmcma.utils.errors import DataError
from mmcma.utils.files import write_atomic

#: Shards that a process keeps mapped.
MAPPED = 4096


class Item(NamedTuple):
    """One file of a gallery and its frames.

    Attributes:
        id: Never given twice; a changed file gets another.
        path: Relative to the gallery's root, with ``/``.
        duration: Seconds; 0 for an image.
        shard: The shard that holds its frames; it is called by the id of its first item.
        first: The place of its first frame there.
        times: Seconds at which its frames are shown.
        size: Bytes of the file.
        modified: When it was last written, nanoseconds.
        digest: Digest of its content.
    """
    id: int
    path: str
    duration: float
    shard: int
    first: int
    times: list[float]
    size: int = 0
    modified: int = 0
    digest: str = ''


class FrameStore:
    """A folder of float16 arrays ``(frames, D)``, one written for each batch of items, and ``manifest.jsonl``.

    A line of the manifest is an item, or a path that is gone; the last word on a path counts. A batch is
    in the gallery when its lines are: the shard is written before them, whole or not at all, and a line
    that was cut short is taken back. So whoever stops at any moment leaves what was there, or more.

    Args:
        folder: Where they lie.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._manifest = self.folder / 'manifest.jsonl'
        self._mapped = lru_cache(MAPPED)(self._map)

    def read_manifest(self) -> dict[str, Item]:
        """The items by path, without those whose shard is missing.

        Raises:
            DataError: A line is none.
        """
        items: dict[str, Item] = {}
        try:
            lines = self._manifest.read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return items
        for number, line in enumerate(lines, 1):
            if not line.endswith(b'\n'):  # the writer was killed
                break
            try:
                entry = json.loads(line)
                if 'gone' in entry:
                    items.pop(entry['gone'], None)
                else:
                    items[entry['path']] = Item(**entry)
            except (ValueError, TypeError, KeyError) as error:
                raise DataError(f'{self._manifest}:{number}: damaged ({error}); delete the gallery and index its '
                                'folder again') from error
        there = {shard for shard in {item.shard for item in items.values()} if self.path(shard).exists()}
        return {path: item for path, item in items.items() if item.shard in there}

    def tidy(self, items: dict[str, Item]) -> None:
        """Rewrites the manifest for these items and deletes the shards that none of them uses."""
        write_atomic(''.join(_line(item._asdict()) for item in items.values()).encode(), self._manifest)
        used = {self.path(shard) for shard in {item.shard for item in items.values()}}
        for path in self.folder.iterdir():
            if path not in used and path != self._manifest:
                path.unlink()

    def path(self, shard: int) -> Path:
        """The file of a shard."""
        return self.folder / f'{shard:09d}.npy'

    def write_shard(self, shard: int, frames: np.ndarray) -> None:
        """Stores float16 ``(frames, D)``."""
        file = BytesIO()
        np.save(file, frames, allow_pickle=False)
        write_atomic(file.getvalue(), self.path(shard))

    def record(self, items: Sequence[Item] = (), gone: Sequence[str] = ()) -> None:
        """Adds to the manifest: items whose frames are written, and paths that are gone."""
        lines = [*(_line(item._asdict()) for item in items), *(_line(dict(gone=path)) for path in gone)]
        data = ''.join(lines).encode()
        with open(self._manifest, 'ab', buffering=0) as file:
            end = file.tell()
            try:
                if file.write(data) < len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
            except OSError:
                file.truncate(end)
                raise

    def read(self, items: Sequence[Item]) -> list[np.ndarray]:
        """The frames of each item, float16 ``(n, D)``, as views of the shards.

        Raises:
            DataError: A shard is missing or damaged.
        """
        frames = [self._mapped(item.shard)[item.first:item.first + len(item.times)] for item in items]
        for item, found in zip(items, frames):
            if len(found) != len(item.times):
                raise self._damaged(item.shard, f'it ends before the frames of {item.path}')
        return frames

    def _map(self, shard: int) -> np.ndarray:
        try:
            return np.load(self.path(shard), mmap_mode='r', allow_pickle=False)
        except (OSError, ValueError) as error:
            raise self._damaged(shard, error) from error

    def _damaged(self, shard: int, reason: object) -> DataError:
        return DataError(f'{self.path(shard)}: damaged or missing ({reason}); delete it and run mmcma index again: its '
                         'items are encoded anew, and no others')


def _line(entry: dict) -> str:
    return json.dumps(entry) + '\n'
