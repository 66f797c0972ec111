"""What tests of a model came to, for people and programs: JSON, CSV, a page, plots, and tables in the terminal."""
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from mmcma.engine.measured import Measured, json_bytes
from mmcma.engine.query_tables import query_tables
from mmcma.evaluation import RetrievalResult
from mmcma.models import CrossModalRetriever
from mmcma.utils.files import short_path, write_atomic
from mmcma.visualization.hardest_queries import HardQuery
from mmcma.visualization.plots import pixels, rank_histogram, recall_by_kind, training_curves
from mmcma.visualization.report_page import render_page
from mmcma.visualization.report_table import kind_table, result_table
from mmcma.visualization.result_panels import draw_result_panels


def write_report(folder: Path, measured: Mapping[str, Measured], result: RetrievalResult, facts: Mapping,
                 hardest: Sequence[HardQuery], curves: Mapping[str, Sequence[float]] | None = None) -> dict:
    """Writes ``report.json``, ``report.html``, plots and tables.

    The plots are ``rank_histogram_{t2v,v2t}.png``, ``recall_by_kind.png`` and ``training.png``. What became of each
    query stands in the tables of :func:`~mmcma.engine.query_tables.query_tables`. Each result with the ranks of all its
    queries goes into a file of its own, as ``zero_shot.json``.

    Args:
        folder: Where to; made if absent.
        measured: Result name (``'zero-shot'``, ``'adapted'``) -> test. The last one
            says what the test set is.
        result: Of the last test.
        facts: What else to put down: ``dataset``, ``split``, ``config``, ``checkpoint``,
            ``backbone`` (``name``, ``fingerprint``), ``parameters`` (``trainable``,
            ``total``, ``share_percent``), ``seed``, ``device``, ``seconds``, ``versions``, ``training_fault``.
        hardest: Queries to show.
        curves: ``loss`` and ``rates`` of each step of the training; None for no ``training.png``.

    Returns:
        What is in ``report.json``.
    """
    last = list(measured.values())[-1]
    report = dict(facts, results={name: of.metrics for name, of in measured.items()},
                  protocols=last.protocols, gallery=last.gallery, num_items=last.gallery['present'],
                  num_captions=last.num_captions, caption_kinds=last.caption_kinds, folds=last.folds,
                  hardest_queries=[query.to_dict() for query in hardest])
    plots = _plots(measured)
    if curves is not None:
        plots['training'] = training_curves(**curves)
    for name, data in {**{f'{name}.png': plot for name, plot in plots.items()},
                       **query_tables(measured, result)}.items():
        write_atomic(data, folder / name)
    for name, of in measured.items():
        of.write(folder / f'{name.replace("-", "_")}.json')
    write_atomic(json_bytes(report), folder / 'report.json')
    write_atomic(render_page(report, plots, hardest).encode(), folder / 'report.html')
    return report


def write_panels(path: Path, model: CrossModalRetriever, result: RetrievalResult, read: Callable[[int], dict],
                 count: int) -> np.ndarray:
    """Writes the best and the worst answered queries as a PNG and gives it as uint8 ``(H, W, 3)``.

    Takes after ``path`` what :func:`~mmcma.visualization.result_panels.draw_result_panels` takes.
    """
    image = draw_result_panels(model, result, read, count)
    write_atomic(image, path)
    return pixels(image)


def print_report(measured: Mapping[str, Measured], checkpoint: Path | None, page: Path,
                 fault: str | None = None) -> None:
    """Prints the results as tables, and where the weights and the page lie.

    Args:
        measured: The results by name, which :func:`write_report` takes too.
        checkpoint: The weights that were tested; None where the model came without.
        page: The report.
        fault: What was wrong with the training.
    """
    results = {name: of.metrics for name, of in measured.items()}
    last = list(measured.values())[-1]
    console = Console(highlight=False, markup=False)
    console.print()
    title = (f'Test, gallery: {last.metrics["gallery"]} items, {last.num_captions:,} captions, '
             f'V2T by {last.protocols["v2t"]}')
    console.print(result_table(results, title, last.folds))
    if last.caption_kinds:
        console.print(kind_table(results, last.caption_kinds))
    if fault is not None:
        console.print(f'warning     {fault}', soft_wrap=True)
    if checkpoint is not None:
        console.print(f'checkpoint  {short_path(checkpoint)}', soft_wrap=True)
    console.print(f'report      {short_path(page)}', soft_wrap=True)


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
        recalls = {name: {kind: float(of.metrics[f't2v/{kind}/R@1']) for kind in last.caption_kinds}
                   for name, of in measured.items()}
        plots['recall_by_kind'] = recall_by_kind(recalls, f'Text to visual, R@1, {gallery}')
    return plots
