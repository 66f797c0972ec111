"""The report as one page of HTML."""
from collections.abc import Mapping, Sequence
from html import escape
from string import Template

from mmcma.visualization.hardest_queries import Found, HardQuery
from mmcma.visualization.page import definitions, embedded_image, html_page
from mmcma.visualization.report_table import METRICS, result_rows

_STYLE = '''
.tile { background: #fff; border: 1px solid var(--line); border-radius: 12px; }
.warning { background: #fff7e6; border-color: #f0cf8a; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 12px;
  margin-top: 18px; }
.tile { padding: 14px 16px; }
.tile b { display: block; font-size: 1.55rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: .85rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 7px 12px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); font-weight: 500; font-size: .86rem; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
tr:last-child td { border-bottom: 0; }
tr.last td { font-weight: 650; }
tbody + tbody tr:first-child td { border-top: 2px solid var(--line); }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 380px), 1fr)); gap: 16px;
  align-items: center; }
.plots img { width: 100%; }
.query { padding: 18px 0; border-top: 1px solid var(--line); }
.query:first-of-type { border-top: 0; padding-top: 14px; }
.query h3 { font-size: 1.02rem; font-weight: 600; margin: 0 0 8px; overflow-wrap: anywhere; }
.answers { display: grid; grid-template-columns: repeat(auto-fill, minmax(190px, 1fr)); gap: 12px;
  margin-top: 10px; }
figure { margin: 0; min-width: 0; }
figure img { border: 3px solid var(--wrong); border-radius: 8px; }
figure.right img { border-color: var(--right); }
figcaption { font-size: .8rem; color: var(--soft); overflow-wrap: anywhere; margin-bottom: 3px; }
@media (max-width: 560px) {
  .tiles { grid-template-columns: 1fr 1fr; }
  .tile b { font-size: 1.15rem; }
  table { font-size: .84rem; }
  th, td { padding: 6px 0 6px 8px; }
}'''

_BODY = Template('''$warning
<div class="tiles">$tiles</div>
<section><h2>Results</h2>$results<p class="note">$protocol</p></section>
$kinds
<section><h2>Ranks of the right answers</h2><div class="plots">$histograms</div></section>
$hardest
<section><h2>This run</h2>$facts</section>''')

_PROTOCOLS = {
    'best_caption': 'every item ranks all captions and takes the rank of its best one',
    'max_over_captions': 'every item ranks all items by the best of their captions, as CLIP4Clip does '
                         '(R@5 and R@10 are optimistic)'}


def render_page(report: Mapping, plots: Mapping[str, bytes], hardest: Sequence[HardQuery]) -> str:
    """The page.

    Args:
        report: As written to ``report.json``; see :func:`~mmcma.engine.retrieval_report.write_report`.
        plots: PNG bytes of ``rank_histogram_t2v``, ``rank_histogram_v2t`` and, where there are kinds of
            captions, ``recall_by_kind``.
        hardest: The queries to show.
    """
    results = report['results']
    gallery = list(results.values())[-1]['gallery']
    data = ' · '.join(str(report[key]) for key in ('dataset', 'split') if report.get(key)) or 'test set'
    body = _BODY.substitute(
        warning=_warning(report['gallery']), tiles=_tiles(report), results=_results_table(results, report['folds']),
        protocol=escape('T2V: every caption ranks all items. '
                        f'V2T: {_PROTOCOLS[report["protocols"]["v2t"]]}. Ties count half.'),
        kinds=_kinds_section(results, report['caption_kinds'], plots.get('recall_by_kind')),
        histograms=''.join(embedded_image(plots[f'rank_histogram_{direction}'], 'png', f'{direction} ranks')
                           for direction in ('t2v', 'v2t')),
        hardest=_hardest_section(hardest), facts=_facts(report))
    return html_page(f'Retrieval report: {report["config"]}' if report.get('config') else 'Retrieval report',
                     f'{data}, gallery: {gallery} items, {report["num_captions"]:,} captions', body, _STYLE)


def _tiles(report: Mapping) -> str:
    names, metrics = list(report['results']), list(report['results'].values())
    tiles = [(' → '.join(f'{of[f"{direction}/R@1"]:.1f}' for of in metrics),
              f'{direction.upper()} R@1, {" → ".join(names)}') for direction in ('t2v', 'v2t')]
    parameters = report.get('parameters')
    if parameters and parameters['trainable']:
        tiles.append((f'{parameters["share_percent"]:.2f} %',
                      f'of the weights train: {parameters["trainable"]:,} of {parameters["total"]:,}'))
    tiles.append((metrics[-1]['gallery'], 'items in the gallery'))
    return ''.join(f'<div class="tile"><b>{escape(value)}</b><span>{escape(label)}</span></div>'
                   for value, label in tiles)


def _warning(gallery: Mapping[str, int]) -> str:
    if gallery['present'] == gallery['expected']:
        return ''
    return ('<section class="warning"><b>The gallery is not complete.</b> '
            f'It has {gallery["present"]:,} of the {gallery["expected"]:,} items that the protocol expects, '
            'so these numbers are better than, and not comparable with, those of the whole set.</section>')


def _results_table(results: Mapping[str, Mapping], folds: Mapping[str, int]) -> str:
    bodies = ''
    for direction in ('t2v', 'v2t'):
        rows = [[f'{direction.upper()}, {label}', *figures]
                for label, figures in result_rows(results, direction, folds)]
        for first in range(0, len(rows), len(results)):
            bodies += _body(rows[first:first + len(results)], mark_last=len(results) > 1)
    return _table(['', *METRICS], bodies)


def _kinds_section(results: Mapping[str, Mapping], kinds: Sequence[str], plot: bytes | None) -> str:
    if not kinds:
        return ''
    rows = [[kind, *(f'{metrics[f"t2v/{kind}/R@1"]:.1f}' for metrics in results.values())] for kind in kinds]
    image = embedded_image(plot, 'png', 'R@1 by kind of caption') if plot else ''
    return (f'<section><h2>R@1 by kind of caption, T2V</h2><div class="plots">'
            f'{_table(["kind", *results], _body(rows))}{image}</div></section>')


def _table(head: Sequence[str], bodies: str) -> str:
    cells = ''.join(f'<th>{escape(cell)}</th>' for cell in head)
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead>{bodies}</table></div>'


def _body(rows: Sequence[Sequence[str]], mark_last: bool = False) -> str:
    lines = ''
    for row in rows:
        style = ' class="last"' if mark_last and row is rows[-1] else ''
        lines += f'<tr{style}>' + ''.join(f'<td>{escape(cell)}</td>' for cell in row) + '</tr>'
    return f'<tbody>{lines}</tbody>'


def _hardest_section(hardest: Sequence[HardQuery]) -> str:
    if not hardest:
        note = 'Every caption found its item first.'
    else:
        note = 'The worst ranked captions, one for each item. Green: the right item; red: others.'
    return (f'<section><h2>Hardest queries</h2><p class="note">{note}</p>'
            + ''.join(map(_query, hardest)) + '</section>')


def _query(query: HardQuery) -> str:
    chips = [f'rank {query.rank:g}', *([query.kind] if query.kind else [])]
    figures = _figure(query.target, f'right: {query.target.item_id}') + ''.join(
        _figure(found, f'{place}. {found.item_id}') for place, found in enumerate(query.retrieved, 1))
    return (f'<div class="query"><h3>{escape(query.caption)}</h3>'
            + ''.join(f'<span class="chip">{escape(chip)}</span>' for chip in chips)
            + f'<div class="answers">{figures}</div></div>')


def _figure(found: Found, label: str) -> str:
    style = ' class="right"' if found.right else ''
    image = embedded_image(found.strip, 'jpeg', f'frames of {found.item_id}') if found.strip else ''
    return f'<figure{style}><figcaption>{escape(label)}</figcaption>{image}</figure>'


def _facts(report: Mapping) -> str:
    facts = {key: report.get(key) for key in ('config', 'checkpoint', 'seed', 'device')}
    if report.get('backbone'):
        facts['backbone'] = report['backbone']['name']
        facts['backbone fingerprint'] = report['backbone']['fingerprint']
    facts['time'] = ', '.join(f'{name.replace("_", " ")} {_duration(seconds)}'
                              for name, seconds in report.get('seconds', {}).items())
    facts['versions'] = ', '.join(f'{name} {version}' for name, version in report.get('versions', {}).items())
    return definitions({key: str(value) for key, value in facts.items() if value not in (None, '')})


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f'{hours} h {minutes} min'
    return f'{minutes} min {rest} s' if minutes else f'{seconds:.1f} s'
