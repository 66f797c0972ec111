"""What every reader of a video gives."""
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

#: What is made of a frame, uint8 RGB ``(H, W, 3)``, as soon as it is decoded.
Convert = Callable[[np.ndarray], Any]


class VideoReader(ABC):
    """Random access to the frames of one video; close it, or use it in a ``with``.

    Attributes:
        timestamps (np.ndarray): Seconds from the first frame to each frame, float64 ``(num_frames,)``,
            strictly rising from 0. They are what is sampled by: a rate need not be constant.
        duration (float): Seconds until the last frame ends.
    """
    timestamps: np.ndarray
    duration: float

    @property
    def num_frames(self) -> int:
        """At least 1."""
        return len(self.timestamps)

    @property
    def fps(self) -> float:
        """Mean number of frames per second."""
        return self.num_frames / self.duration

    @abstractmethod
    def get_batch(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Frames ``indices`` (each in ``[0, num_frames)``): uint8 RGB ``(n, H, W, 3)``, upright."""

    def scan(self, indices: Sequence[int] | np.ndarray, convert: Convert) -> Iterator[tuple[int, Any]]:
        """Frames ``indices`` (strictly rising) in one pass, whatever their number: only what is made of them is kept.

        Yields:
            Each index once with what ``convert`` made of its frame, or with the exception because of which there is
            none; in rising order where nothing is wrong.
        """
        for index in indices:
            try:
                made = convert(self.get_batch([index])[0])
            except Exception as error:  # each library has errors of its own
                made = error
            yield int(index), made

    @abstractmethod
    def close(self) -> None:
        """Stop decoding and let go of the file. May be called twice."""

    def __enter__(self) -> 'VideoReader':
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.close()
