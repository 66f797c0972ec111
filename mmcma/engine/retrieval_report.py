"""What a test came to, written down: JSON for programs, a page and plots for people."""
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mmcma.evaluation import RetrievalResult
from mmcma.utils.files import write_atomic
from mmcma.visualization.hardest_queries import HardQuery
from mmcma.visualization.plots import rank_histogram, recall_by_kind
from mmcma.visualization.report_page import render_page


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
    """
    metrics: dict[str, float | str]
    ranks: dict[str, list[float]]
    protocols: dict[str, str]
    gallery: dict[str, int]
    num_captions: int
    seconds: float
    caption_kinds: list[str] = field(default_factory=list)
    folds: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, result: RetrievalResult, seconds: float) -> 'Measured':
        """From the result that a :class:`~mmcma.evaluation.RetrievalMetric` keeps."""
        return cls(result.metrics, dict(t2v=result.t2v_ranks.tolist(), v2t=result.v2t_ranks.tolist()),
                   result.protocols, dict(zip(('present', 'expected'), result.gallery)), len(result.captions),
                   seconds, sorted({kind for kind in result.caption_kinds or () if kind}), result.folds)

    @classmethod
    def read(cls, path: Path) -> 'Measured':
        """From a file that :meth:`write` wrote."""
        return cls(**json.loads(path.read_text()))

    def write(self, path: Path) -> None:
        write_atomic(_json(asdict(self)), path)

    def same_test_as(self, other: 'Measured') -> bool:
        """Whether the two can stand in one table: same gallery, captions and protocols."""
        ours, theirs = ((of.gallery, of.num_captions, of.protocols, of.caption_kinds, of.folds)
                        for of in (self, other))
        return ours == theirs


def write_report(folder: Path, measured: Mapping[str, Measured], facts: Mapping,
                 hardest: Sequence[HardQuery]) -> dict:
    """Writes ``report.json``, ``report.html``, ``rank_histogram_{t2v,v2t}.png`` and ``recall_by_kind.png``.

    Each result with the ranks of all its queries goes into a file of its own, as ``zero_shot.json``.

    Args:
        folder: Where to; made if absent.
        measured: Result name (``'zero-shot'``, ``'adapted'``) -> test. The last one
            says what the test set is.
        facts: What else to put down: ``dataset``, ``split``, ``config``, ``checkpoint``,
            ``backbone`` (``name``, ``fingerprint``), ``parameters`` (``trainable``,
            ``total``, ``share_percent``), ``seed``, ``device``, ``seconds``, ``versions``.
        hardest: Queries to show.

    Returns:
        What is in ``report.json``.
    """
    last = list(measured.values())[-1]
    report = dict(facts, results={name: of.metrics for name, of in measured.items()},
                  protocols=last.protocols, gallery=last.gallery, num_items=last.gallery['present'],
                  num_captions=last.num_captions, caption_kinds=last.caption_kinds, folds=last.folds,
                  hardest_queries=[query.to_dict() for query in hardest])
    plots = _plots(measured)
    for name, data in plots.items():
        write_atomic(data, folder / f'{name}.png')
    for name, of in measured.items():
        of.write(folder / f'{name.replace("-", "_")}.json')
    write_atomic(_json(report), folder / 'report.json')
    write_atomic(render_page(report, plots, hardest).encode(), folder / 'report.html')
    return report


def _plots(measured: Mapping[str, Measured]) -> dict[str, bytes]:
    last = list(measured.values())[-1]
    items = last.gallery['present']
    candidates = dict(t2v=items, v2t=last.num_captions if last.protocols['v2t'] == 'best_caption' else items)
    gallery = f'gallery: {last.metrics["gallery"]}'
    titles = dict(t2v='Text to visual', v2t='Visual to text')
    plots = {f'rank_histogram_{direction}': rank_histogram(
        {name: of.ranks[direction] for name, of in measured.items()}, candidates[direction], f'{title}, {gallery}')
        for direction, title in titles.items()}
    if last.caption_kinds:
        recalls = {name: {kind: of.metrics[f't2v/{kind}/R@1'] for kind in last.caption_kinds}
                   for name, of in measured.items()}
        plots['recall_by_kind'] = recall_by_kind(recalls, f'Text to visual, R@1, {gallery}')
    return plots


def _json(content: Mapping) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + '\n').encode()
