"""A folder of images as a video."""
import os
import re
from collections.abc import Sequence

import numpy as np

from mmcma.datasets.annotations.media_folder import IMAGE_SUFFIXES
from mmcma.datasets.video.video_reader import VideoReader
from mmcma.utils.images import read_image


class FolderReader(VideoReader):
    """A folder of images, taken in the order of the numbers in their names."""

    def __init__(self, path: str, fps: float) -> None:
        self._paths = sorted((entry.path for entry in os.scandir(path)
                              if os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES), key=_by_numbers)
        if not self._paths:
            raise ValueError(f"no images ({' '.join(IMAGE_SUFFIXES)}) in the folder")
        self.timestamps = np.arange(len(self._paths)) / fps
        self.duration = len(self._paths) / fps

    def get_batch(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        frames = [read_image(self._paths[index]) for index in indices]
        for index, frame in zip(indices, frames):
            if frame.shape != frames[0].shape:
                raise ValueError(f'{os.path.basename(self._paths[index])} is {frame.shape[1]}x{frame.shape[0]}, others '
                                 f'are {frames[0].shape[1]}x{frames[0].shape[0]}; a clip has one size')
        return np.stack(frames)

    def close(self) -> None:
        pass


def _by_numbers(path: str) -> list:
    """Sort key that puts ``frame10.jpg`` after ``frame9.jpg``."""
    parts = re.split(r'(\d+)', os.path.basename(path))
    return [(int(part), '') if part.isdigit() else (0, part) for part in parts]
