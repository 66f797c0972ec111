"""What a test came to, written down: JSON for programs, a page and plots for people."""
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mmcma.engine.atomic_backend import write_atomic
from mmcma.evaluation import RetrievalResult
from mmcma.visualization.hardest_queries import HardQuery
from mmcma.visualization.plots import rank_histogram, recall_by_kind
from mmcma.visualization.report_page import render_page
from mmcma.visualization.report_table import caption_kinds


@dataclass(frozen=True)
class Measured:
    """One test of a model, in values that JSON knows.

    Attributes:
        metrics: Flat keys (``t2v/R@1``) to values.
        ranks: ``t2v`` and ``v2t`` to the ranks of all queries.
        protocols: How each direction was ranked.
        gallery: ``present`` and ``expected`` items.
        num_captions: In the test set.
        seconds: What the test took.
    """
    metrics: dict[str, float]
    ranks: dict[str, list[float]]
    protocols: dict[str, str]
    gallery: dict[str, int]
    num_captions: int
    seconds: float

    @classmethod
    def of(cls, result: RetrievalResult, seconds: float) -> 'Measured':
        """From the result that a :class:`~mmcma.evaluation.RetrievalMetric` keeps."""
        return cls(result.metrics, dict(t2v=result.t2v_ranks.tolist(), v2t=result.v2t_ranks.tolist()),
                   result.protocols, dict(zip(('present', 'expected'), result.gallery)), len(result.captions),
                   seconds)

    @classmethod
    def read(cls, path: Path) -> 'Measured':
        """From a file that :meth:`write` wrote."""
        return cls(**json.loads(path.read_text()))

    def write(self, path: Path) -> None:
        write_atomic(_json(asdict(self)), path)


def write_report(folder: Path, measured: Mapping[str, Measured], facts: Mapping,
                 hardest: Sequence[HardQuery]) -> dict:
    """Writes ``report.json``, ``report.html``, ``rank_histogram_{t2v,v2t}.png`` and ``recall_by_kind.png``.

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
                  num_captions=last.num_captions, hardest_queries=[query.to_dict() for query in hardest])
    plots = _plots(measured)
    for name, data in plots.items():
        write_atomic(data, folder / f'{name}.png')
    write_atomic(_json(report), folder / 'report.json')
    write_atomic(render_page(report, plots, hardest).encode(), folder / 'report.html')
    return report


def _plots(measured: Mapping[str, Measured]) -> dict[str, bytes]:
    last = list(measured.values())[-1]
    items = last.gallery['present']
    candidates = dict(t2v=items, v2t=last.num_captions if last.protocols['v2t'] == 'best_caption' else items)
    titles = dict(t2v='Text to visual', v2t='Visual to text')
    plots = {f'rank_histogram_{direction}': rank_histogram(
        {name: of.ranks[direction] for name, of in measured.items()}, candidates[direction], title)
        for direction, title in titles.items()}
    kinds = caption_kinds(last.metrics)
    if kinds:
        plots['recall_by_kind'] = recall_by_kind(
            {name: {kind: of.metrics[f't2v/{kind}/R@1'] for kind in kinds} for name, of in measured.items()})
    return plots


def _json(content: Mapping) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + '\n').encode()
