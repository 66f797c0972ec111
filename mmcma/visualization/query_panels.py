"""Queries with the items that a model answers them with: frames, scores and how much each frame counted."""
from collections.abc import Sequence
from dataclasses import dataclass, field
from textwrap import fill

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from mmcma.structures import Features
from mmcma.utils.images import evenly_spaced, frame_row
from mmcma.visualization.hardest_queries import FrameReader
from mmcma.visualization.page import RIGHT, WRONG
from mmcma.visualization.plots import COLOURS, INK, png

#: Sizes in inches: an answer's width, the highest strip, a line of text, the frames' shares, and the space between.
_WIDTH, _TALLEST, _LINE, _SHARES, _GAP = 4.4, 1.5, 0.21, 0.2, 0.2
#: Pixels of a frame's height within a strip, and between frames.
_PIXELS, _BETWEEN = 96, 4


@dataclass(frozen=True)
class Answer:
    """One item that was found.

    Attributes:
        label: Its id.
        score: Its similarity to the query.
        frames: uint8 ``(T, 3, H, W)``, without padding.
        right: Whether it is what the query describes; None where nobody knows.
        weights: float ``(T,)``, how much each frame counts; None where frames are not weighed.
    """
    label: str
    score: float
    frames: Tensor = field(repr=False)
    right: bool | None = None
    weights: Tensor | None = None


@dataclass(frozen=True)
class QueryPanel:
    """A query and the best of its answers, best first.

    Attributes:
        query: The text.
        answers: What was found.
        note: Who answered, and how well.
    """
    query: str
    answers: Sequence[Answer]
    note: str = ''


@torch.no_grad()
def query_panel(model, query: str, gallery: Features, frames: FrameReader, *, labels: Sequence[str],
                target: int | None = None, k: int = 3, note: str = '') -> QueryPanel:
    """What a model answers a query with.

    Args:
        model: A :class:`~mmcma.models.CrossModalRetriever`.
        query: A caption.
        gallery: Visual features of M items.
        frames: Gives an item's frames by its position in the gallery.
        labels: Names of the M items.
        target: Position of the right item, where it is known.
        k: How many answers.
        note: Put before the right item's rank, in which ties count half.
    """
    text = model.encode_text([query])
    scores = model.similarity(text, gallery)[0]  # (M,)
    best = scores.topk(min(k, len(scores))).indices
    weights = model.frame_weights(text, gallery.rows(best))
    answers = []
    for number, position in enumerate(best.tolist()):
        shown = frames(position)
        answers.append(Answer(
            labels[position], scores[position].item(), shown, None if target is None else position == target,
            None if weights is None else weights[0, number, :len(shown)]))
    if target is not None:
        better, equal = (scores > scores[target]).sum(), (scores == scores[target]).sum() - 1
        note = f'{note}{": " if note else ""}rank {float(1 + better + equal / 2):g} of {len(scores):,}'
    return QueryPanel(query, answers, note)


def draw_query_panels(panels: Sequence[QueryPanel], num_frames: int = 8) -> bytes:
    """One row of answers for each panel as a PNG: green is right, red wrong, and below a frame is its share.

    A query that comes again in the next panel, answered by another model, is written once.

    Args:
        panels: From top to bottom.
        num_frames: Most frames of an answer; of more, evenly spaced ones.
    """
    columns = max(len(panel.answers) for panel in panels)
    rows = [_Row(panel, num_frames, panel.query != before, fill(panel.query, 42 * columns))
            for panel, before in zip(panels, [None, *(panel.query for panel in panels)])]
    width, height = columns * (_WIDTH + _GAP) + _GAP, sum(row.height for row in rows) + _GAP
    figure = Figure(figsize=(width, height))
    top = height - _GAP / 2
    for row in rows:
        row.draw(figure, top)
        top -= row.height
    return png(figure, dpi=100)


class _Row:
    """A panel's place in the image; lengths in inches from the lower left corner."""

    def __init__(self, panel: QueryPanel, num_frames: int, with_query: bool, query: str) -> None:
        self.panel = panel
        self.query = query if with_query else ''
        self.shown = [evenly_spaced(len(answer.frames), num_frames) for answer in panel.answers]
        self.strips = [frame_row(answer.frames[shown], _PIXELS, _BETWEEN)
                       for answer, shown in zip(panel.answers, self.shown)]
        self.strip = max(min(_TALLEST, _WIDTH * strip.height / strip.width) for strip in self.strips)
        self.weighed = any(answer.weights is not None for answer in panel.answers)
        lines = (self.query.count('\n') + 1.4 if self.query else 0) + bool(panel.note) + 1
        self.height = lines * _LINE + self.strip + (_SHARES + 0.05) * self.weighed + _GAP

    def draw(self, figure: Figure, top: float) -> None:
        for text, size, weight in ((self.query, 12, 'bold'), (self.panel.note, 10, 'normal')):
            if text:
                _write(figure, _GAP, top, text, fontsize=size, fontweight=weight)
                top -= _LINE * (text.count('\n') + (1.4 if weight == 'bold' else 1))
        for number, answer in enumerate(self.panel.answers):
            self._draw_answer(figure, _GAP + number * (_WIDTH + _GAP), top, number, answer)

    def _draw_answer(self, figure: Figure, left: float, top: float, number: int, answer: Answer) -> None:
        colour = {True: RIGHT, False: WRONG, None: COLOURS[1]}[answer.right]
        mark = {True: ' ✓', False: ' ✗', None: ''}[answer.right]  # colour alone is not for everybody
        _write(figure, left, top, f'{number + 1}. {answer.label}   {answer.score:.3f}{mark}', fontsize=9, color=colour)
        image = self.strips[number]
        height = min(self.strip, _WIDTH * image.height / image.width)
        width = height * image.width / image.height
        top -= _LINE + height
        axes = _axes(figure, left, top, width, height)
        axes.imshow(np.asarray(image), aspect='auto', extent=(0, image.width, 0, image.height))
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(color=colour, linewidth=3)
        if answer.weights is not None:
            self._draw_weights(figure, left, top - _SHARES - 0.05, width, image, answer.weights[self.shown[number]])

    @staticmethod
    def _draw_weights(figure: Figure, left: float, bottom: float, width: float, image, weights: Tensor) -> None:
        axes = _axes(figure, left, bottom, width, _SHARES)
        frame = (image.width + _BETWEEN) / len(weights)  # with the space after it
        for number, weight in enumerate(weights.tolist()):
            axes.axvspan(number * frame, (number + 1) * frame - _BETWEEN, color=COLOURS[1], alpha=weight, linewidth=0)
            axes.text((number + 0.5) * frame - _BETWEEN / 2, 0.5, f'{100 * weight:.0f} %', fontsize=7.5, ha='center',
                      va='center_baseline', color='white' if weight > 0.5 else INK)
        axes.set(xlim=(0, image.width), ylim=(0, 1))
        axes.set_axis_off()


def _axes(figure: Figure, left: float, bottom: float, width: float, height: float):
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def _write(figure: Figure, left: float, top: float, text: str, color: str = INK, **style) -> None:
    across, up = figure.get_size_inches()
    # Captions may hold dollar signs.
    figure.text(left / across, top / up, text, va='top', color=color, parse_math=False, **style)
