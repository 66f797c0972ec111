"""The report as one page of HTML."""
from collections.abc import Mapping, Sequence

from mmcma.visualization.hardest_queries import HardQuery
from mmcma.visualization.page import render
from mmcma.visualization.report_table import METRICS, kind_rows, result_rows

_PROTOCOLS = {
    'best_caption': 'every item ranks all captions and takes the rank of its best one',
    'max_over_captions': 'every item ranks all items by the best of their captions, as CLIP4Clip does '
                         '(R@5 and R@10 are optimistic)'}


def render_page(report: Mapping, plots: Mapping[str, bytes], hardest: Sequence[HardQuery]) -> str:
    """The report as HTML with its images inside.

    Args:
        report: The content of ``report.json``; see :func:`~mmcma.engine.retrieval_report.write_report`.
        plots: PNG bytes of ``rank_histogram_t2v``, ``rank_histogram_v2t`` and, where there are kinds of
            captions, ``recall_by_kind``; after a training ``training``.
        hardest: The queries to show.
    """
    results = report['results']
    gallery = list(results.values())[-1]['gallery']
    data = ' · '.join(str(report[key]) for key in ('dataset', 'split') if report.get(key)) or 'test set'
    return render(
        'report.html.j2',
        title=f'Retrieval report: {report["config"]}' if report.get('config') else 'Retrieval report',
        subtitle=f'{data}, gallery: {gallery} items, {report["num_captions"]:,} captions',
        training_fault=report.get('training_fault'), gallery=report['gallery'], tiles=_tiles(report),
        metrics_head=['', *METRICS],
        results=_result_bodies(results, report['folds']), v2t_protocol=_PROTOCOLS[report['protocols']['v2t']],
        kinds_head=['kind', *results], kinds=kind_rows(results, report['caption_kinds']),
        plots={'recall_by_kind': None, 'training': None, **plots}, hardest=hardest, facts=_facts(report))


def _tiles(report: Mapping) -> list[tuple[str, str]]:
    """Figures and what they are."""
    names, metrics = list(report['results']), list(report['results'].values())
    tiles = [(' → '.join(f'{of[f"{direction}/R@1"]:.1f}' for of in metrics),
              f'{direction.upper()} R@1, {" → ".join(names)}') for direction in ('t2v', 'v2t')]
    parameters = report.get('parameters')
    if parameters and parameters['trainable']:
        tiles.append((f'{parameters["share_percent"]:.2f} %',
                      f'of the weights train: {parameters["trainable"]:,} of {parameters["total"]:,}'))
    return [*tiles, (metrics[-1]['gallery'], 'items in the gallery')]


def _result_bodies(results: Mapping[str, Mapping], folds: Mapping[str, int]) -> list[list[list[str]]]:
    """Rows of cells, together those of one direction and, where there are folds, of one number of items."""
    bodies = []
    for direction in ('t2v', 'v2t'):
        rows = [[f'{direction.upper()}, {label}', *figures]
                for label, figures in result_rows(results, direction, folds)]
        bodies += [rows[first:first + len(results)] for first in range(0, len(rows), len(results))]
    return bodies


def _facts(report: Mapping) -> dict[str, str]:
    facts = {key: report.get(key) for key in ('config', 'checkpoint', 'seed', 'device')}
    if report.get('backbone'):
        facts['backbone'] = report['backbone']['name']
        facts['backbone fingerprint'] = report['backbone']['fingerprint']
    facts['time'] = ', '.join(f'{name.replace("_", " ")} {_duration(seconds)}'
                              for name, seconds in report.get('seconds', {}).items())
    facts['versions'] = ', '.join(f'{name} {version}' for name, version in report.get('versions', {}).items())
    return {key: str(value) for key, value in facts.items() if value not in (None, '')}


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f'{hours} h {minutes} min'
    return f'{minutes} min {rest} s' if minutes else f'{seconds:.1f} s'
