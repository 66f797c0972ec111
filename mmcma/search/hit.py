"""A moment that was found; no model is needed to hold one."""
from typing import NamedTuple

from mmcma.utils.spans import Span


class Hit(NamedTuple):
    """A moment that was found.

    Attributes:
        path: Where its file lies.
        score: The model's similarity to the query.
        start, end: Seconds; both 0 for an image.
        frame_weights: Share of each frame in the score; empty where the similarity gives frames no weights.
        frame_times: Seconds at which those frames are shown.
        mark: What became of the file since it was indexed: 'missing', 'changed', or 'leads out' for a link that
            leads out of the folder or to itself; None where it is as it was.
        duration: Seconds of the file; 0 for an image.
    """
    path: str
    score: float
    start: float
    end: float
    frame_weights: list[float]
    frame_times: list[float]
    mark: str | None = None
    duration: float = 0.0

    @property
    def span(self) -> Span | None:
        """When it begins and ends; None where it is all of the file."""
        return None if self.end - self.start >= self.duration else Span(self.start, self.end)

    @property
    def best_moment(self) -> float | None:
        """Seconds of the frame that weighs most, the first of several; None where no frame weighs more than another."""
        if len(set(self.frame_weights)) < 2:
            return None
        return self.frame_times[self.frame_weights.index(max(self.frame_weights))]
