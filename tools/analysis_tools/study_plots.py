"""Plots that compare methods, as PNG bytes."""
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from mmcma.visualization.plots import COLOURS, GRID, INK, plain, png


class Point(NamedTuple):
    """A method in a plot: mean and standard deviation of a recall in percent, over runs."""
    name: str
    trainable: int
    mean: float
    spread: float


def recall_by_parameters(points: Sequence[Point], title: str, marked: str | None = None,
                         floor: float | None = None) -> bytes:
    """Recall against the number of trained parameters, on a logarithmic axis.

    Args:
        points: One for each method that trains something.
        title: Above the plot.
        marked: Name of the method to stand out.
        floor: Recall without any training, drawn as a line.
    """
    figure = Figure(figsize=(7.4, 4.6), layout='constrained')
    axes = figure.subplots()
    if floor is not None:
        axes.axhline(floor, color=COLOURS[0], linewidth=1.2, linestyle='--')
        axes.annotate(f'zero-shot {floor:.1f}', (0.995, floor), xycoords=('axes fraction', 'data'), ha='right',
                      va='bottom', fontsize=8, color=INK)
    for point in points:
        colour = COLOURS[2] if point.name == marked else COLOURS[1]
        axes.errorbar(point.trainable, point.mean, yerr=point.spread, fmt='o', color=colour, markersize=5, capsize=2,
                      linewidth=1)
    axes.set_xscale('log')
    for point, rise in zip(points, _label_rises(points)):
        axes.annotate(point.name, (point.trainable, point.mean), xytext=(16, rise), textcoords='offset points',
                      va='center', fontsize=7.5, color=INK,
                      arrowprops=dict(arrowstyle='-', color=COLOURS[0], linewidth=0.6, shrinkA=1, shrinkB=4))
    axes.set(title=title, xlabel='trained parameters', ylabel='R@1 (%)')
    axes.margins(x=0.12, y=0.12)
    plain(axes)
    return png(figure)


def _label_rises(points: Sequence[Point]) -> list[float]:
    """How far above its mark each label stands, in points: lower where the label of a higher mark would be met."""
    logs = np.log10([point.trainable for point in points])
    means = np.array([point.mean for point in points])
    heights = means * 200 / max(np.ptp(means), 1.0)  # in points: what the figure's size leaves for the marks
    width = max(np.ptp(logs), 1.0)
    places: dict[int, float] = {}
    for number in np.argsort(-heights):
        near = [place for other, place in places.items() if abs(logs[other] - logs[number]) < 0.1 * width]
        places[number] = min([heights[number], *(place - 10 for place in near)])
    return [places[number] - heights[number] for number in range(len(points))]


def bars_by_kind(recalls: Mapping[str, Mapping[str, float]], title: str) -> bytes:
    """R@1 in percent of many methods, one panel for each kind of caption.

    Args:
        recalls: Method -> kind -> percent, from the first row of the panels to the last.
        title: Above the panels.
    """
    kinds = list(next(iter(recalls.values())))
    figure = Figure(figsize=(2.0 + 2.6 * len(kinds), 0.8 + 0.26 * len(recalls)), layout='constrained')
    panels = np.atleast_1d(figure.subplots(1, len(kinds), sharey=True))
    places = np.arange(len(recalls))[::-1]
    for axes, kind in zip(panels, kinds):
        bars = axes.barh(places, [of[kind] for of in recalls.values()], 0.7, color=COLOURS[1])
        axes.bar_label(bars, fmt='%.1f', fontsize=7.5, color=INK, padding=2)
        axes.set_title(kind)
        axes.set_yticks(places, list(recalls))
        axes.margins(x=0.16)
        plain(axes)
        axes.grid(axis='y', visible=False)
        axes.grid(axis='x', color=GRID)
    figure.suptitle(title, fontsize=10, color=INK)
    return png(figure)


def rank_shares_by_method(shares: Mapping[str, Sequence[float]], edges: Sequence[int], title: str) -> bytes:
    """Cumulative share of queries whose right answer is at most at a rank.

    Args:
        shares: Method -> percent of the queries in each bin.
        edges: Upper ends of the bins.
        title: Above the plot.
    """
    figure = Figure(figsize=(7.4, 4.2), layout='constrained')
    axes = figure.subplots()
    for number, (name, of) in enumerate(shares.items()):
        axes.plot(edges, np.cumsum(of), marker='o', markersize=3, linewidth=1.4, label=name,
                  color=COLOURS[number % len(COLOURS)], linestyle='-' if number < len(COLOURS) else '--')
    axes.set_xscale('log')
    axes.set_xticks(list(edges), [f'{edge:,}' for edge in edges])
    axes.minorticks_off()
    axes.set(title=title, xlabel='rank of the right answer, at most', ylabel='queries (%)')
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    plain(axes)
    return png(figure)
