"""Moments: a long video cut into stretches of time, each of which is read, encoded and found by itself."""
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mmcma.datasets.video.video_reader import Convert, VideoReader
from mmcma.utils.errors import ConfigError
from mmcma.utils.spans import Span, windows

#: How files are cut where nothing else is said: those longer than LONGEST_WHOLE seconds into windows of WINDOW seconds.
AUTO, LONGEST_WHOLE, WINDOW = 'auto', 60.0, 10.0
#: Seconds of the shortest shot; frames a second that are looked at for cuts; pixels of their shorter side.
SHORTEST_SHOT, SHOT_RATE, SHOT_SIDE = 1.0, 8.0, 144


def check_plan(plan: str | float) -> str:
    """How files are cut into moments, as a text that a gallery may keep.

    ``'auto'`` cuts files longer than a minute into windows of 10 s, half overlapping; a number of seconds (at least 1)
    cuts all that are longer than that into windows as long; ``'shots'`` cuts at cuts; ``'whole'`` cuts nothing.

    Raises:
        ConfigError: It is none of these, or PySceneDetect is not installed.
    """
    if plan == 'shots':
        try:
            import scenedetect  # noqa: F401
        except ImportError as error:
            raise ConfigError(f"moments 'shots' needs PySceneDetect ({error}); install it with pip install "
                              "'mmcma[shots]'") from error
    if plan in (AUTO, 'shots', 'whole'):
        return str(plan)
    try:
        seconds = float(plan)
    except ValueError:
        seconds = math.nan
    if not 1 <= seconds < math.inf:
        raise ConfigError(f"moments {plan!r}: give a number of seconds from 1 up, 'shots' or 'whole'")
    return f'{seconds:g}'


def cut(video: VideoReader, plan: str) -> list[Span]:
    """The moments of a video, in order; together they are all of it.

    Args:
        video: An open file.
        plan: From :func:`check_plan`.
    """
    if plan == 'shots':
        return [part for shot in _shots(video) for part in _cut_longer(shot, LONGEST_WHOLE, WINDOW)]
    seconds = dict(auto=WINDOW, whole=math.inf).get(plan) or float(plan)
    return _cut_longer(Span(0.0, video.duration), LONGEST_WHOLE if plan == AUTO else seconds, seconds)


def _cut_longer(part: Span, longest: float, seconds: float) -> list[Span]:
    if part.end - part.start <= longest:
        return [part]
    return [Span(part.start + start, part.start + end) for start, end in windows(part.end - part.start, seconds)]


def _shots(video: VideoReader) -> list[Span]:
    """Between the cuts that PySceneDetect sees among frames of our own decoding, by its ``ContentDetector``."""
    from scenedetect import ContentDetector, FrameTimecode
    slots = np.floor(video.timestamps * SHOT_RATE)
    indices = np.flatnonzero(np.diff(slots, prepend=-1))  # the first frame of each
    detector = ContentDetector(min_scene_len=round(SHORTEST_SHOT * SHOT_RATE))
    cuts: list[float] = []
    number, seen = 0, []
    for index, frame in video.scan(indices, _small):
        if not isinstance(frame, Exception):
            seen.append(index)
            found = detector.process_frame(FrameTimecode(number, SHOT_RATE), frame)
            cuts += [float(video.timestamps[seen[cut.frame_num]]) for cut in found]
            number += 1
    edges = [0.0, *sorted(set(cuts) - {0.0}), video.duration]
    return [Span(start, end) for start, end in zip(edges, edges[1:])]


def _small(frame: np.ndarray) -> np.ndarray:
    """BGR, thinned out to about ``SHOT_SIDE`` pixels."""
    step = max(1, min(frame.shape[:2]) // SHOT_SIDE)
    return np.ascontiguousarray(frame[::step, ::step, ::-1])


def scan_parts(video: VideoReader, parts: Sequence[np.ndarray],
               convert: Convert) -> Iterator[tuple[int, list[Any] | Exception]]:
    """Parts of a video in one pass, each as soon as its last frame is there; a frame is kept until no part needs it.

    Args:
        video: An open file.
        parts: Indices of the frames of each part, which may overlap: int ``(n,)``, strictly rising, at least one.
        convert: What is made of a frame when it is decoded.

    Yields:
        The number of a part with what was made of its frames, or with the first exception among them.
    """
    parts_of = defaultdict(list)
    for number, indices in enumerate(parts):
        for index in indices.tolist():
            parts_of[index].append(number)
    missing = [len(indices) for indices in parts]
    uses = Counter({index: len(numbers) for index, numbers in parts_of.items()})
    frames: dict[int, Any] = {}
    for index, made in video.scan(sorted(parts_of), convert):
        frames[index] = made
        for number in parts_of.pop(index):
            missing[number] -= 1
            if not missing[number]:
                own = parts[number].tolist()
                found = [frames[index] for index in own]
                yield number, next((frame for frame in found if isinstance(frame, Exception)), found)
                uses.subtract(own)
                for index in own:
                    if not uses[index]:
                        del frames[index]
