"""Which frames of a clip the model sees: pure functions of the times at which frames are shown."""
from collections.abc import Callable

import numpy as np

#: Seconds. Matroska rounds timestamps to milliseconds: a frame may stand this much after its moment.
ROUNDING = 5e-4
#: Seconds that ``end`` may lie behind the end of the file (or one frame, if that is longer): annotations
#: are often rounded up to whole seconds, and measured on a sound track that outlasts the image.
END_TOLERANCE = 1.0
# A rate this little below a whole number of frames a second is that number, and a rounded duration.
_WHOLE = 1e-3


def frame_at(timestamps: np.ndarray, seconds: np.ndarray | float) -> np.ndarray:
    """The frame shown at each of these moments: int64, of the shape of ``seconds``."""
    return np.maximum(np.searchsorted(timestamps, np.asarray(seconds) + ROUNDING, side='right') - 1, 0)


def sample_frames(timestamps: np.ndarray, duration: float, limit: int, *, fps: float | None = 1.0,
                  sampling: str = 'uniform', start: float | None = None, end: float | None = None,
                  rng: np.random.Generator | None = None) -> np.ndarray:
    """Frames at a steady rate in time, thinned out where they are too many.

    What is shown every ``1 / fps`` seconds from the start of the clip, and if
    that is more than ``limit`` frames, ``limit`` of them. A clip slower than
    ``fps`` gives each frame once. With ``'uniform'`` this is CLIP4Clip's sampling
    where the file has a whole number of frames a second; where it has not, its
    seconds have ``int(rate)`` frames, and ``'clip4clip'`` is exactly that.

    Args:
        timestamps: Seconds at which each frame of the file appears, float ``(num_frames,)``, rising from 0.
        duration: Seconds at which the last one ends.
        limit: The most frames to return, at least 1.
        fps: Frames to take per second; None takes all.
        sampling: How to thin them out, a key of ``THINNING``; ``'clip4clip'`` thins as ``'uniform'``.
        start, end: The part of the file to use, in seconds; None for its ends.
        rng: For ``'random'``.

    Returns:
        int64 ``(n,)``, ``1 <= n <= limit``, strictly rising, within the file.

    Raises:
        ValueError: When ``start`` and ``end`` are no part of the file.
    """
    start = 0.0 if start is None else start
    first, stop, until = _part(timestamps, duration, start, end)
    frames = np.arange(first, stop)
    if sampling == 'clip4clip':
        frames = _by_whole_seconds(len(timestamps), duration, fps, start, end)
    elif fps is not None:
        # Frame i is shown at the moments start + k / fps with slots[i] <= k < slots[i + 1].
        edges = np.append(timestamps[first:stop], until)
        slots = np.ceil((edges - start - ROUNDING) * fps)
        shown = slots[:-1] < slots[1:]
        shown[0] = True
        frames = frames[shown]
    if len(frames) > limit:
        frames = frames[THINNING[sampling](len(frames), limit, rng)]
    return frames


def _by_whole_seconds(num_frames: int, duration: float, fps: float | None, start: float,
                      end: float | None) -> np.ndarray:
    """CLIP4Clip's ``RawVideoExtractorCV2`` (dataloaders/rawvideo_util.py): ``fps`` frames of every ``int(rate)``.

    It reads one second more than asked for where the file has it.
    """
    rate = max(int(num_frames / duration + _WHOLE), 1)
    seconds = -(-num_frames // rate)
    last = seconds if end is None else min(int(end), seconds)
    each = rate if fps is None else max(int(fps), 1)
    places = np.arange(0, rate, max(rate // each, 1))[:each]
    frames = (rate * np.arange(int(start), last + 1)[:, None] + places).ravel()
    frames = frames[frames < num_frames]
    return frames if len(frames) else np.array([num_frames - 1])  # a rate that varies: its last second has no frames


def _part(timestamps: np.ndarray, duration: float, start: float, end: float | None) -> tuple[int, int, float]:
    """The clip's first frame, the one after its last, and its end in seconds."""
    if not 0 <= start < duration:
        raise ValueError(f'start {start:g} s is beyond its end at {duration:g} s' if start > 0 else
                         f'start {start:g} s is no time in it')
    if end is None:
        end = duration
    elif not end > start:
        raise ValueError(f'end {end:g} s is not after start {start:g} s')
    elif end > duration + max(END_TOLERANCE, duration / len(timestamps)):
        raise ValueError(f'end {end:g} s is beyond its end at {duration:g} s')
    first = int(frame_at(timestamps, start))
    stop = int(np.searchsorted(timestamps, end - ROUNDING, side='left'))
    return first, max(stop, first + 1), min(end, duration)


def thin_uniformly(count: int, limit: int, rng: np.random.Generator | None = None) -> np.ndarray:
    """``limit`` places among ``count``, evenly, the first and the last included (``slice_framepos=2``)."""
    return np.linspace(0, count - 1, num=limit).astype(np.int64)


def thin_randomly(count: int, limit: int, rng: np.random.Generator) -> np.ndarray:
    """One random place in each of ``limit`` equal segments (Temporal Segment Networks, Wang et al. 2016)."""
    edges = np.arange(limit + 1) * count // limit
    return rng.integers(edges[:-1], edges[1:])


def thin_to_head(count: int, limit: int, rng: np.random.Generator | None = None) -> np.ndarray:
    """The first ``limit`` (``slice_framepos=0``)."""
    return np.arange(limit)


def thin_to_tail(count: int, limit: int, rng: np.random.Generator | None = None) -> np.ndarray:
    """The last ``limit`` (``slice_framepos=1``)."""
    return np.arange(count - limit, count)


#: By the name that a config gives: ``(count, limit, rng) -> places``, for ``count > limit``.
THINNING: dict[str, Callable] = dict(
    uniform=thin_uniformly, clip4clip=thin_uniformly, random=thin_randomly, head=thin_to_head, tail=thin_to_tail)
