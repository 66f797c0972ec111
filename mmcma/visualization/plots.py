"""Plots of retrieval results as PNG bytes; drawn without matplotlib's global state."""
from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

#: Colours of up to four results, in their order: the reference is pale, what was trained is not.
COLOURS = ('#a3b1c2', '#0f6e84', '#d98c3f', '#7a5ba6')
INK, GRID = '#26323f', '#e3e8ee'


def rank_histogram(ranks: Mapping[str, Sequence[float]], candidates: int, title: str) -> bytes:
    """Share of queries by the rank of the right answer; the bins grow with the rank, in steps of 1-2-5.

    Args:
        ranks: Result name -> ranks.
        candidates: The greatest possible rank.
        title: Above the plot.
    """
    figure = Figure(figsize=(6, 3.7), layout='constrained')
    axes = figure.subplots()
    edges = rank_edges(candidates)
    _grouped_bars(axes, _edge_names(edges), {name: rank_shares(of, edges) for name, of in ranks.items()})
    axes.set_title(title)
    axes.set_xlabel(f'rank among {candidates:,}')
    axes.set_ylabel('queries (%)')
    axes.tick_params(axis='x', labelrotation=40)
    return png(figure)


def recall_by_kind(recalls: Mapping[str, Mapping[str, float]], title: str) -> bytes:
    """R@1 in percent by kind of caption.

    Args:
        recalls: Result name -> kind -> percent; every result has the same kinds.
        title: Above the plot.
    """
    kinds = list(next(iter(recalls.values())))
    figure = Figure(figsize=(max(6.0, 1.6 + 1.4 * len(kinds)), 3.7), layout='constrained')
    axes = figure.subplots()
    bars = _grouped_bars(axes, kinds, {name: [of[kind] for kind in kinds] for name, of in recalls.items()})
    for container in bars:
        axes.bar_label(container, fmt='%.1f', fontsize=8, color=INK, padding=2)
    axes.set_title(title)
    axes.set_ylabel('R@1 (%)')
    axes.margins(y=0.12)
    return png(figure)


def training_curves(loss: Sequence[float], rates: Sequence[float]) -> bytes:
    """Loss, with its mean over the last twentieth of the training, and learning rate, step by step.

    Args:
        loss: Of each step.
        rates: The learning rate of each step.
    """
    figure = Figure(figsize=(9.6, 3.4), layout='constrained')
    left, right = figure.subplots(1, 2)
    values, window = np.asarray(loss, dtype=float), max(1, len(loss) // 20)
    steps = np.arange(1, len(values) + 1)
    left.plot(steps, values, color=COLOURS[window == 1], linewidth=0.8, label='each step')
    if window > 1:
        means = np.convolve(values, np.full(window, 1 / window), 'valid')
        left.plot(steps[window - 1:], means, color=COLOURS[1], linewidth=1.6, label=f'mean of {window:,}')
        left.legend(frameon=False, fontsize=9, labelcolor=INK)
    right.plot(np.arange(1, len(rates) + 1), rates, color=COLOURS[1], linewidth=1.4)
    for axes, title in ((left, 'loss'), (right, 'learning rate')):
        axes.set(title=title, xlabel='step')
        plain(axes)
    return png(figure)


def rank_edges(candidates: int) -> list[int]:
    """Upper ends of the bins: 1, 2, 5, 10, 20, 50, … and at last ``candidates``."""
    edges = [1]
    while edges[-1] < candidates:
        following = edges[-1] * 5 // 2 if str(edges[-1])[0] == '2' else edges[-1] * 2
        edges.append(min(following, candidates))
    return edges


def rank_shares(ranks: Sequence[float], edges: Sequence[int]) -> np.ndarray:
    """Percent of the ranks in each bin ``(edges[i - 1], edges[i]]``; a half rank belongs to the worse bin."""
    bins = np.searchsorted(np.asarray(edges, dtype=float), np.asarray(ranks, dtype=float), side='left')
    return 100 * np.bincount(bins, minlength=len(edges)) / len(bins)


def _edge_names(edges: Sequence[int]) -> list[str]:
    pairs = zip([0, *edges], edges)
    return [f'{last:,}' if last - before == 1 else f'{before + 1:,}–{last:,}' for before, last in pairs]


def _grouped_bars(axes, groups: Sequence[str], values: Mapping[str, Sequence[float] | np.ndarray]) -> list:
    width = 0.8 / len(values)
    centres = np.arange(len(groups))
    bars = []
    for number, (name, heights) in enumerate(values.items()):
        offset = (number - (len(values) - 1) / 2) * width
        bars.append(axes.bar(centres + offset, heights, width * 0.94, label=name,
                             color=COLOURS[number % len(COLOURS)] if len(values) > 1 else COLOURS[1]))
    axes.set_xticks(centres, groups)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    plain(axes)
    return bars


def plain(axes) -> None:
    """Takes frames and ticks away and leaves a pale grid."""
    axes.grid(axis='y', color=GRID)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right', 'left']].set_visible(False)
    axes.spines['bottom'].set_color(GRID)
    axes.tick_params(length=0, labelsize=8.5, colors=INK)
    for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
        text.set(color=INK, fontsize=10)


def png(figure: Figure, dpi: int = 150) -> bytes:
    """The drawn figure; the same numbers give the same bytes."""
    buffer = BytesIO()
    # The metadata would name the version of matplotlib.
    figure.savefig(buffer, format='png', dpi=dpi, metadata={'Software': None})
    return buffer.getvalue()


def pixels(image: bytes) -> np.ndarray:
    """A PNG as RGB, uint8 ``(H, W, 3)``, for visual backends."""
    return np.asarray(Image.open(BytesIO(image)).convert('RGB'))
