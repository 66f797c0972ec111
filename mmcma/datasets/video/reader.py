"""Opening videos: the backend that can, and the next one where it fails.

PyAV comes first and decord falls in: on one thread PyAV is no slower, reads
more (AV1, GIF, partly damaged files), and need not decode from the beginning.
"""
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from mmcma.datasets.video.backends import BACKENDS, FolderReader, VideoReader
from mmcma.datasets.video.sampling import frame_at
from mmcma.utils.errors import ConfigError, MediaError, did_you_mean
from mmcma.utils.images import read_image

__all__ = ['VideoReader', 'check_backend', 'open_video', 'read_image']

#: Files that a backend failed on and the next one read, in this process.
_taken_over: set[str] = set()


class _FallbackReader(VideoReader):
    """The first backend that reads the file; a frame it cannot decode hands the file to the next one."""

    def __init__(self, path: str, backends: dict[str, Any]) -> None:
        self._path = path
        self._waiting = dict(backends)
        self._failures: list[str] = []
        self._reader = self._open_next()
        self.timestamps, self.duration = self._reader.timestamps, self._reader.duration

    def _open_next(self) -> VideoReader:
        while self._waiting:
            self._name, reader = next(iter(self._waiting)), None
            try:
                reader = self._waiting.pop(self._name)(self._path)
                if not 0 < reader.duration < float('inf'):
                    raise ValueError(f'{reader.num_frames} frames in {reader.duration} s')
                return reader
            except Exception as error:  # each library has errors of its own
                self._give_up(reader, error)
        raise MediaError(f"{self._path}: cannot be read ({'; '.join(self._failures)})")

    def _give_up(self, reader: VideoReader | None, error: Exception) -> None:
        self._failures.append(f'{self._name}: {_reason(error)}')
        if reader is not None:
            reader.close()

    def get_batch(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        while True:
            try:
                frames = self._reader.get_batch(self._places(indices))
            except Exception as error:
                self._give_up(self._reader, error)
                self._reader = self._open_next()
            else:
                self._count()
                return frames

    def _places(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """The frames shown at the same times: backends may count the frames of a damaged file differently."""
        if self._reader.timestamps is self.timestamps:
            return np.asarray(indices)
        seconds = self.timestamps[np.asarray(indices)]
        if seconds.max() >= self._reader.duration:
            raise ValueError(f'ends at {self._reader.duration:g} s, before {seconds.max():g} s')
        return frame_at(self._reader.timestamps, seconds)

    def _count(self) -> None:
        if self._failures and self._path not in _taken_over:
            _taken_over.add(self._path)
            print_log(f"{self._path}: read by {self._name} after {'; '.join(self._failures)} "
                      f'(such files in this process so far: {len(_taken_over)})',
                      logger='current', level=logging.WARNING)

    def close(self) -> None:
        self._reader.close()


def check_backend(backend: str) -> None:
    """Refuses a backend other than ``'auto'``, ``'pyav'`` and ``'decord'``, with a ConfigError."""
    known = ['auto', *BACKENDS]
    if backend not in known:
        raise ConfigError(f'backend {backend!r}: choose one of {known}.{did_you_mean(str(backend), known)}')


def open_video(path: str | Path, backend: str = 'auto', folder_fps: float = 1.0) -> VideoReader:
    """Open a video file, or a folder of its frames.

    Args:
        path: The file or folder.
        backend: ``'pyav'``, ``'decord'``, or ``'auto'``: PyAV, and decord where PyAV fails, on
            opening or later. Folders are read as images whatever it says.
        folder_fps: Images per second at which a folder was written.

    Raises:
        MediaError: From here or from ``get_batch``, naming the file and what each backend said.
    """
    check_backend(backend)
    path = str(path)
    if os.path.isdir(path):
        return _FallbackReader(path, dict(folder=lambda folder: FolderReader(folder, folder_fps)))
    if not os.path.exists(path):
        raise MediaError(f'{path}: no such file')
    if not os.path.isfile(path):  # a pipe would be waited for
        raise MediaError(f'{path}: neither a file nor a folder')
    if not os.path.getsize(path):
        raise MediaError(f'{path}: the file is empty (0 bytes)')
    return _FallbackReader(path, BACKENDS if backend == 'auto' else {backend: BACKENDS[backend]})


def _reason(error: Exception) -> str:
    """One line without the source lines and stack trace that decord sends along."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r'^(\[(Errno )?[\d:-]+\] (/\S+:\d+: )?)+', '', lines[0])
