"""What an inferencer answers."""
from typing import NamedTuple

from mmcma.structures import Features
from mmcma.utils.errors import MediaError


class Match(NamedTuple):
    """One answer to a query: a text or path of the gallery, and its score."""
    item: str
    score: float


class MomentMatch(NamedTuple):
    """A moment that was found.

    Attributes:
        path: The file.
        start, end: Seconds.
        score: The model's similarity to the query.
    """
    path: str
    start: float
    end: float
    score: float


class EncodedBatch(NamedTuple):
    """What became of a few paths.

    Attributes:
        paths: The files that were read, in order.
        features: One row a path; None where there are no paths.
        failures: The other files, each with what is wrong with it.
    """
    paths: list[str]
    features: Features | None
    failures: dict[str, MediaError]
