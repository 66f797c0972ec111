"""Which frames of a clip the model sees."""
import math
from typing import Optional

import numpy as np


def sample_frames(num_frames: int, video_fps: float, limit: int, fps: Optional[float] = 1.0,
                  start: Optional[float] = None, end: Optional[float] = None) -> np.ndarray:
    """Frames at a steady rate, thinned out evenly where they are too many.

    CLIP4Clip's sampling: one frame every ``1 / fps`` seconds from the start
    of the clip, and if that gives more than ``limit``, ``limit`` of them at
    ``linspace`` positions rounded down (its ``slice_framepos=2``), the first
    and the last of them included. A clip slower than ``fps`` gives all its frames.

    Args:
        num_frames: Frames of the file, at least 1.
        video_fps: Its frames per second.
        limit: The most frames to return, at least 1.
        fps: Frames to take per second; None takes ``limit`` frames evenly over the clip.
        start, end: The part of the file to use, in seconds; None for its ends.

    Returns:
        int64 ``(n,)``, ``1 <= n <= limit``, strictly rising, within the file.

    Raises:
        ValueError: When ``start`` lies beyond the last frame.
    """
    first = 0 if start is None else math.floor(start * video_fps + 1e-6)
    if first >= num_frames:
        raise ValueError(f'start {start:g} s is beyond its end at {num_frames / video_fps:g} s')
    stop = num_frames if end is None else min(num_frames, math.ceil(end * video_fps - 1e-6))
    length = max(stop - first, 1)
    step = 1.0 if fps is None else max(video_fps / fps, 1.0)  # file frames from one sample to the next
    # The small term keeps 2.9999999 of a 29.97 fps clip from falling to 2.
    steps = np.floor(np.arange(math.ceil(length / step)) * step + 1e-6).astype(np.int64)
    steps = steps[steps < length]
    if len(steps) > limit:
        steps = steps[np.linspace(0, len(steps) - 1, num=limit).astype(np.int64)]
    return first + steps
