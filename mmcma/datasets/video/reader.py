"""Opening videos: files and folders of frames, with errors that name them."""
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmcma.datasets.video.backends import BACKENDS, key_frames_of
from mmcma.datasets.video.folder_reader import FolderReader
from mmcma.datasets.video.video_reader import Convert, VideoReader
from mmcma.utils.errors import ConfigError, MediaError, did_you_mean
from mmcma.utils.spans import clock

__all__ = ['VideoReader', 'check_backend', 'open_video']


class _NamedReader(VideoReader):
    """A reader whose errors name the file and who read it."""

    def __init__(self, path: str, name: str, open_file: Callable[[str], VideoReader]) -> None:
        self._path, self._name = path, name
        try:
            self._reader = open_file(path)
        except Exception as error:  # each library has errors of its own
            raise self._error(error) from error
        self.timestamps, self.duration = self._reader.timestamps, self._reader.duration
        if not 0 < self.duration < float('inf'):
            self.close()
            raise self._error(ValueError(f'{self.num_frames} frames in {self.duration} s'))

    def get_batch(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        try:
            return self._reader.get_batch(indices)
        except Exception as error:
            raise self._error(error) from error

    def scan(self, indices: Sequence[int] | np.ndarray, convert: Convert) -> Iterator[tuple[int, Any]]:
        left = dict.fromkeys(map(int, indices))
        try:
            for index, made in self._reader.scan(indices, convert):
                del left[index]
                yield index, self._error(made, index) if isinstance(made, Exception) else made
        except Exception as error:
            for index in left:
                yield index, self._error(error, index)

    def _error(self, error: Exception, index: int | None = None) -> MediaError:
        at = '' if index is None else f' at {clock(self.timestamps[index])}'
        return MediaError(f'{self._path}: cannot be read{at} ({self._name}: {_reason(error)})')

    def close(self) -> None:
        self._reader.close()


def check_backend(backend: str) -> None:
    """Raises: ConfigError: When ``backend`` is none of ``'auto'``, ``'pyav'``, ``'decord'``."""
    known = ['auto', *BACKENDS]
    if backend not in known:
        raise ConfigError(f'backend {backend!r}: choose one of {known}.{did_you_mean(str(backend), known)}')


def open_video(path: str | Path, backend: str = 'auto', folder_fps: float = 1.0,
               key_frames: bool = False) -> VideoReader:
    """Open a video file, or a folder of its frames.

    Args:
        path: The file or folder.
        backend: ``'auto'`` or ``'pyav'``: PyAV. ``'decord'`` is there to compare with: it may return wrong frames
            without an error. Folders are read as images whatever it says.
        folder_fps: Images per second at which a folder was written.
        key_frames: As if the file had no other frames than its key frames, which are decoded alone; by PyAV.

    Raises:
        MediaError: From here or from ``get_batch``, naming the file and what is wrong with it.
    """
    check_backend(backend)
    path = str(path)
    if os.path.isdir(path):
        return _NamedReader(path, 'folder', lambda folder: FolderReader(folder, folder_fps))
    if not os.path.exists(path):
        raise MediaError(f'{path}: no such file')
    if not os.path.isfile(path):  # a pipe would be waited for
        raise MediaError(f'{path}: neither a file nor a folder')
    if not os.path.getsize(path):
        raise MediaError(f'{path}: the file is empty (0 bytes)')
    if key_frames:
        return _NamedReader(path, 'pyav', key_frames_of)
    name = 'pyav' if backend == 'auto' else backend
    return _NamedReader(path, name, BACKENDS[name])


def _reason(error: Exception) -> str:
    """One line without the source lines and stack trace that decord sends along."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r'^(\[(Errno )?[\d:-]+\] (/\S+:\d+: )?)+', '', lines[0])
