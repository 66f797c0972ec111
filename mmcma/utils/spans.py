"""Stretches of time: written as people read them, windows over a file, those that overlap."""
import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol, TypeVar

#: Of a window's step: so much may a file's end lie behind the last window's.
_ROUNDING = 1e-6


def clock(seconds: float) -> str:
    """Whole seconds, rounded down: ``0:41:20``."""
    minutes, rest = divmod(int(seconds), 60)
    return f'{minutes // 60}:{minutes % 60:02}:{rest:02}'


class Span(NamedTuple):
    """When a moment begins and ends, in seconds from the beginning of its file; both 0 for an image."""
    start: float
    end: float

    def __str__(self) -> str:
        return f'{clock(self.start)}–{clock(math.ceil(self.end - 1e-3))}'


class Found(Protocol):
    """What a search found: a stretch of a file."""
    @property
    def path(self) -> str: ...
    @property
    def start(self) -> float: ...
    @property
    def end(self) -> float: ...


AnyFound = TypeVar('AnyFound', bound=Found)


def windows(duration: float, seconds: float, overlap: float = 0.5) -> list[Span]:
    """Windows that cover ``[0, duration]`` and begin at multiples of ``(1 - overlap) * seconds``.

    Neighbours share ``overlap`` of their length; the last one is cut to the end.
    """
    step = (1 - overlap) * seconds
    count = max(0, math.ceil((duration - seconds) / step - _ROUNDING)) + 1
    return [Span(step * number, duration if number == count - 1 else step * number + seconds)
            for number in range(count)]


def intersection_over_union(one: Span, other: Span) -> float:
    """Of two stretches of time, 0 to 1: the seconds that both have, of those that either has."""
    both = max(0.0, min(one.end, other.end) - max(one.start, other.start))
    either = (one.end - one.start) + (other.end - other.start) - both
    return both / either if either else 0.0


def join_overlapping(found: Iterable[AnyFound], per_file: int | None = None) -> list[AnyFound]:
    """What was found, without what overlaps a better stretch of the same file.

    Args:
        found: Best first.
        per_file: At most so many of a file; None for all.
    """
    kept: list[AnyFound] = []
    of_file: dict[Any, list[AnyFound]] = defaultdict(list)
    for one in found:
        better = of_file[one.path]
        if (per_file is None or len(better) < per_file) and \
                not any(min(one.end, other.end) > max(one.start, other.start) for other in better):
            better.append(one)
            kept.append(one)
    return kept
