"""The page of a study: tables and plots of what its files hold."""
from collections.abc import Mapping, Sequence
from math import sqrt
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader
from matplotlib.figure import Figure
from study import RECALLS, RESULTS, Study, Table, spread

from mmcma.utils.files import write_atomic
from mmcma.visualization.plots import COLOURS, GRID, INK, plain, png

_LABEL_HEIGHT = 10  # of a mark in a plot, with its space, in points
#: Colours of lines that are told apart by them alone.
_LINES = (*COLOURS[1:], '#b0413e', '#5b8c3a')
#: Finished runs of each entry.
Runs = Mapping[str, list[dict]]


def write_page(study: Study) -> Path:
    """Writes ``docs/results/<study>.md``, by the template beside this file, and the plots beside it."""
    runs = {name: found for name in study.entries if (found := study.results('run', name))}
    rows = [run for own in runs.values() for run in own]
    counts = sorted({str(len(rates)) for name in study.entries if (rates := study.values('tune', name))})
    templates = Environment(loader=FileSystemLoader(Path(__file__).parent), trim_blocks=True, lstrip_blocks=True)
    page = templates.get_template('study_page.md.j2').render(
        study=study, run=rows[0] if rows else None, trained=sum(run['rate'] is not None for run in rows),
        counts=' or '.join(counts), sweep=study.sweep and _sweep(study, runs),
        sections=[_section(study, name, runs) for name, table in study.tables.items()
                  if runs.keys() & set(table.entries)])
    path = RESULTS / f'{study.name}.md'
    write_atomic(page.encode(), path)
    return path


def _section(study: Study, name: str, all_runs: Runs) -> dict[str, Any]:
    """What the template tells of a table; its plots are written."""
    table = study.tables[name]
    runs = {entry: all_runs[entry] for entry in table.entries if entry in all_runs}
    kinds = next(iter(runs.values()))[0]['caption_kinds'] or []
    plots = {}
    for plot, figure in _plots(study, table, runs, kinds).items():
        plots[plot] = f'{name}_{plot}.png'
        write_atomic(png(figure), RESULTS / study.name / plots[plot])
    columns = (f'{direction.upper()} {key}' for direction, key in (recall.split('/') for recall in RECALLS))
    return dict(
        table=table, plots=plots, kinds=kinds, missing=[entry for entry in table.entries if entry not in runs],
        header=['', 'trained', 'share', 'lr', 'runs', *columns, f'Δ {table.compared_with}', 'time', 'memory'],
        rows=[_row(study, entry, runs, table.compared_with) for entry in runs],
        kind_rows=[[_marked(entry, table.compared_with), *(spread(_values(own, f't2v/{kind}/R@1')) for kind in kinds)]
                   for entry, own in runs.items()])


def _sweep(study: Study, all_runs: Runs) -> dict[str, Any]:
    """What the template tells of a sweep: recalls of each method at each value; the plot of them is written."""
    assert study.sweep is not None
    values = study.sweep.values
    methods = list(dict.fromkeys(name.rpartition('_')[0] for name, entry in study.entries.items() if entry.train))
    runs = {method: {value: all_runs[f'{method}_{value}'] for value in values if f'{method}_{value}' in all_runs}
            for method in methods}
    floor = next((mean(_values(own)) for name, own in all_runs.items() if not study.entries[name].train), None)
    write_atomic(png(_recall_by_value(runs, study, floor)), RESULTS / study.name / 'sweep.png')
    return dict(title=study.sweep.title, header=[study.sweep.title, *map(str, values)],
                rows=[[method, *(spread(_values(own[value])) if value in own else '' for value in values)]
                      for method, own in runs.items()],
                counts=sorted({len(of) for own in runs.values() for of in own.values()}))


# ---- cells of tables ----

def _row(study: Study, entry: str, runs: Runs, against: str) -> list[str]:
    own = runs[entry]
    parameters, rate = own[0]['parameters'], own[0]['rate']
    return [_marked(entry, against), f'{parameters["trainable"]:,}', f'{parameters["share_percent"]:.2f} %',
            '' if rate is None else f'{rate:g}', str(len(own)), *(spread(_values(own, key)) for key in RECALLS),
            '' if entry == against or against not in runs else _difference(own, runs[against]),
            *_relative_cost(study, entry)]


def _marked(entry: str, against: str) -> str:
    """The name of a row; bold where it is the method that the others are compared with."""
    return f'**{entry}**' if entry == against else entry


def _values(runs: list[dict], key: str = 't2v/R@1') -> list[float]:
    return [run['results'][key] for run in runs]


def _difference(runs: list[dict], others: list[dict]) -> str:
    """Difference of mean T2V R@1 and its standard error, from the variances of both (Welch)."""
    ours, theirs = _values(runs), _values(others)
    gap = mean(ours) - mean(theirs)
    if min(len(ours), len(theirs)) < 2:
        return f'{gap:+.1f}'
    return f'{gap:+.1f} ± {sqrt(stdev(ours) ** 2 / len(ours) + stdev(theirs) ** 2 / len(theirs)):.1f}'


def _relative_cost(study: Study, entry: str) -> tuple[str, str]:
    own, reference = study.results('cost', entry), study.results('cost', study.reference)
    if not own or not reference:
        return '', ''
    time, memory = (median(cost[key] for cost in own) / median(cost[key] for cost in reference)
                    for key in ('seconds', 'peak_mib'))
    return f'{time:.2f}', f'{memory:.2f}'


# ---- plots ----

def _deviation(values: list[float]) -> float:
    """Standard deviation, 0 of one value."""
    return stdev(values) if len(values) > 1 else 0.0


def _plots(study: Study, table: Table, runs: Runs, kinds: list[str]) -> dict[str, Figure]:
    trained = {entry: own for entry, own in runs.items() if study.entries[entry].train}
    untrained = {entry: own for entry, own in runs.items() if entry not in trained}
    floor = mean(_values(list(untrained.values())[-1])) if untrained else None
    title = f'{study.title}: {table.title}'
    plots = {'parameters': _recall_by_parameters(trained, f'{title}, T2V R@1', table.compared_with, floor)}
    if kinds:
        plots['kinds'] = _bars_by_kind(runs, kinds, f'{title}, T2V R@1 by kind of caption', table.compared_with)
    fixed = {*untrained, table.compared_with} & set(runs)  # and the best of the rest: eight lines at most
    best = sorted(set(runs) - fixed, key=lambda entry: mean(_values(runs[entry])), reverse=True)[:8 - len(fixed)]
    plots['ranks'] = _rank_shares({entry: own for entry, own in runs.items() if entry in {*fixed, *best}},
                                  f'{title}, T2V ranks')
    return plots


def _recall_by_value(runs: Mapping[str, Mapping[int, list[dict]]], study: Study, floor: float | None) -> Figure:
    """A line for each method: mean T2V R@1 in percent and its standard deviation at the values of the sweep."""
    figure = Figure(figsize=(7.4, 4.6), layout='constrained')
    axes = figure.subplots()
    for number, (method, own) in enumerate(runs.items()):
        recalls = [_values(of) for of in own.values()]
        axes.errorbar(list(own), [mean(of) for of in recalls], capsize=2, linewidth=1.4, marker='o', markersize=4,
                      yerr=[_deviation(of) for of in recalls], label=method,
                      color=_LINES[number % len(_LINES)])
    if floor is not None:
        axes.axhline(floor, color=COLOURS[0], linewidth=1.2, linestyle='--', label='zero-shot')
    assert study.sweep is not None
    axes.set_xscale('log')
    axes.set_xticks(list(study.sweep.values), [f'{value:,}' for value in study.sweep.values])
    axes.minorticks_off()
    axes.set(title=f'{study.title}, T2V R@1', xlabel=study.sweep.title, ylabel='R@1 (%)')
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    plain(axes)
    return figure


def _recall_by_parameters(runs: Runs, title: str, marked: str, floor: float | None) -> Figure:
    """Recall and its standard deviation against the number of trained parameters, with the recall without training."""
    figure = Figure(figsize=(7.4, 4.6), layout='constrained')
    axes = figure.subplots()
    if floor is not None:
        axes.axhline(floor, color=COLOURS[0], linewidth=1.2, linestyle='--')
        axes.annotate(f'zero-shot {floor:.1f}', (0.995, floor), xycoords=('axes fraction', 'data'), ha='right',
                      va='bottom', fontsize=8, color=INK)
    trainable = [own[0]['parameters']['trainable'] for own in runs.values()]
    means = [mean(_values(own)) for own in runs.values()]
    for name, x, y in zip(runs, trainable, means):
        recalls = _values(runs[name])
        axes.errorbar(x, y, yerr=_deviation(recalls), fmt='o', markersize=5, capsize=2,
                      color=COLOURS[2] if name == marked else COLOURS[1], linewidth=1)
    axes.set_xscale('log')
    for name, x, y, offset in zip(runs, trainable, means, _label_offsets(np.log10(trainable), np.array(means))):
        axes.annotate(name, (x, y), xytext=offset, textcoords='offset points', va='center', fontsize=7.5, color=INK,
                      ha='right' if offset[0] < 0 else 'left',
                      fontweight='bold' if name == marked else 'normal',
                      bbox=dict(facecolor='white', edgecolor='none', pad=0.3),  # above lines
                      arrowprops=dict(arrowstyle='-', color=COLOURS[0], linewidth=0.6, shrinkA=0, shrinkB=3,
                                      relpos=(float(offset[0] < 0), 0.5)))
    axes.set(title=title, xlabel='trained parameters', ylabel='R@1 (%)')
    axes.margins(x=0.12, y=0.12)
    plain(axes)
    return figure


def _label_offsets(x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
    """Where each label begins, in points from its mark, or ends where that is to the left.

    Labels of marks that lie close together stand in one column to their right, in the order of the marks, so that
    neither they nor their lines cross.

    Args:
        x: Decimal logarithm of the number of parameters ``(n,)``.
        y: Recalls ``(n,)``, in percent.
    """
    # In points: what the figure's size leaves for the marks.
    right, up = x * 390 / max(np.ptp(x), 1.0), y * 220 / max(np.ptp(y), 1.0)
    by_x = np.argsort(right)
    offsets = np.zeros((len(x), 2))
    for column in np.split(by_x, np.flatnonzero(np.diff(right[by_x]) > 22) + 1):
        for block in _touching(column[np.argsort(-up[column])], up):
            middle = (len(block) - 1) / 2 - np.arange(len(block))
            offsets[block, 1] = up[block].mean() + _LABEL_HEIGHT * middle - up[block]
            offsets[block, 0] = right[block].max() - right[block] + (7 if len(block) == 1 else 24)
            met = (right > right[block[0]]) & (right < right[block[0]] + 50) & (abs(up - up[block[0]]) < 12)
            if len(block) == 1 and met.any():
                offsets[block, 0] = -7
    return [(float(aside), float(rise)) for aside, rise in offsets]


def _touching(column: np.ndarray, up: np.ndarray) -> list[np.ndarray]:
    """Marks of a column, from above, in blocks whose labels, a height apart around their middle, do not meet."""
    blocks: list[np.ndarray] = []
    for mark in column:
        blocks.append(np.array([mark]))
        while len(blocks) > 1 and (up[blocks[-2]].mean() - up[blocks[-1]].mean()
                                   < _LABEL_HEIGHT * (len(blocks[-2]) + len(blocks[-1])) / 2):
            last = blocks.pop()
            blocks[-1] = np.concatenate([blocks[-1], last])
    return blocks


def _bars_by_kind(runs: Runs, kinds: Sequence[str], title: str, marked: str) -> Figure:
    """Mean R@1 in percent of many methods with its standard deviation, a panel for each kind of caption."""
    figure = Figure(figsize=(2.0 + 2.6 * len(kinds), 0.8 + 0.26 * len(runs)), layout='constrained')
    panels = np.atleast_1d(figure.subplots(1, len(kinds), sharey=True))
    places = np.arange(len(runs))[::-1]
    colours = [COLOURS[2] if name == marked else COLOURS[1] for name in runs]
    for axes, kind in zip(panels, kinds):
        values = [_values(own, f't2v/{kind}/R@1') for own in runs.values()]
        bars = axes.barh(places, [mean(of) for of in values], 0.7, color=colours,
                         xerr=[_deviation(of) for of in values],
                         error_kw=dict(ecolor=INK, elinewidth=0.8, capsize=2))
        axes.bar_label(bars, fmt='%.1f', fontsize=7.5, color=INK, padding=2)
        axes.set_title(kind)
        axes.set_yticks(places, list(runs))
        axes.margins(x=0.2)
        plain(axes)
        axes.grid(axis='y', visible=False)
        axes.grid(axis='x', color=GRID)
    figure.suptitle(title, fontsize=10, color=INK)
    return figure


def _rank_shares(runs: Runs, title: str) -> Figure:
    """Cumulative share of queries whose right answer is at most at a rank, in percent."""
    figure = Figure(figsize=(7.4, 4.2), layout='constrained')
    axes = figure.subplots()
    edges = next(iter(runs.values()))[0]['t2v_rank_edges']
    for number, (name, own) in enumerate(runs.items()):
        shares = np.mean([run['t2v_rank_shares'] for run in own], axis=0)
        axes.plot(edges, np.cumsum(shares), marker='o', markersize=3, linewidth=1.4, label=name,
                  color=COLOURS[number % len(COLOURS)], linestyle='-' if number < len(COLOURS) else '--')
    axes.set_xscale('log')
    axes.set_xticks(list(edges), [f'{edge:,}' for edge in edges])
    axes.minorticks_off()
    axes.set(title=title, xlabel='rank of the right answer, at most', ylabel='queries (%)')
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    plain(axes)
    return figure
