"""One test in values that JSON knows, so that a resumed run can read it again."""
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mmcma.evaluation import RetrievalResult
from mmcma.utils.files import write_atomic


@dataclass(frozen=True)
class Measured:
    """One test of a model, in values that JSON knows.

    Attributes:
        metrics: Flat keys (``t2v/R@1``) to values, and ``gallery`` to ``'1,335 of 1,500'``.
        ranks: ``t2v`` and ``v2t`` to the ranks of all queries.
        protocols: How each direction was ranked.
        gallery: ``present`` and ``expected`` items.
        num_captions: In the test set.
        seconds: What the test took.
        caption_kinds: The kinds that the data set marks, each with its ``t2v/{kind}/…`` in ``metrics``.
        folds: Name in ``metrics`` to number of the folds whose mean stands there.
        answers: ``t2v`` to ``score``, ``first`` (position of the item found first) and ``first_score`` of each caption;
            ``v2t`` to ``caption`` (position of its best own), ``score``, ``first`` and ``first_score`` of each item.
        test_set: Digest of ids and captions.
    """
    metrics: dict[str, float | str]
    ranks: dict[str, list[float]]
    protocols: dict[str, str]
    gallery: dict[str, int]
    num_captions: int
    seconds: float
    caption_kinds: list[str] = field(default_factory=list)
    folds: dict[str, int] = field(default_factory=dict)
    answers: dict[str, dict[str, list]] = field(default_factory=dict)
    test_set: str = ''

    @classmethod
    def of(cls, result: RetrievalResult, seconds: float) -> 'Measured':
        """Takes the values of the result that a :class:`~mmcma.evaluation.RetrievalMetric` keeps."""
        return cls(result.metrics, dict(t2v=result.t2v_ranks.tolist(), v2t=result.v2t_ranks.tolist()),
                   result.protocols, dict(zip(('present', 'expected'), result.gallery)), len(result.captions),
                   seconds, sorted({kind for kind in result.caption_kinds or () if kind}), result.folds,
                   _answers(result), result.test_set)

    @classmethod
    def read(cls, path: Path) -> 'Measured':
        """Reads a file that :meth:`write` wrote."""
        return cls(**json.loads(path.read_text()))

    def write(self, path: Path) -> None:
        """Writes a file for :meth:`read`, such as ``zero_shot.json``."""
        write_atomic(json_bytes(asdict(self)), path)

    def same_test_as(self, other: 'Measured') -> bool:
        """Whether the two can stand in one table: same gallery, captions and protocols."""
        ours, theirs = ((of.gallery, of.test_set, of.protocols, of.caption_kinds, of.folds) for of in (self, other))
        return ours == theirs


def _answers(result: RetrievalResult) -> dict[str, dict[str, list]]:
    own = result.best_own_captions()
    columns = dict(
        t2v=dict(score=result.own_scores, first=result.top_items[:, 0], first_score=result.top_scores[:, 0]),
        v2t=dict(caption=own, score=result.own_scores[own], first=result.top_captions,
                 first_score=result.top_caption_scores))
    return {direction: {name: [round(value, 6) for value in values.tolist()] for name, values in of.items()}
            for direction, of in columns.items()}


def json_bytes(content: Mapping) -> bytes:
    """JSON for people and programs: indented, UTF-8, with a new line at the end."""
    return (json.dumps(content, indent=1, ensure_ascii=False) + '\n').encode()
