"""Ranks of a two-way retrieval, counted tile by tile.

Captions are rows, visual items are columns. A *rival* of a (caption, item)
pair is a competitor that does not belong to the item:

* text to visual (t2v): every caption ranks all items; its rivals are the
  items that it does not describe.
* visual to text (v2t), ``'best_caption'``: every item ranks all captions and
  takes the rank of the best of its own; its rivals are the captions of other
  items. Its own other captions can never be strictly better than the best
  one, and neither gain nor lose anything by being equal to it. This is the
  protocol of image-text retrieval since VSE++ (Faghri et al., BMVC 2018).
* v2t, ``'max_over_captions'``: the score of two items is the best one over the
  captions of the second; every item ranks all items. It is what CLIP4Clip
  reports for several captions a video: the same R@1, but R@5 and R@10 are
  optimistic, since an item's good captions fill one place and not many.

In all of them ``rank = 1 + (rivals strictly better) + (rivals equal) / 2`` on
float32 scores, so that a constant matrix ranks everyone in the middle and a
collapsed model cannot look good.
"""
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmcma.evaluation.sweeps import BestRow, Index, ScoreMatrix, TopColumns, groups_of, positions, tiles
from mmcma.structures import Features
from mmcma.utils.errors import ConfigError, DataError, NonFiniteError
from mmcma.utils.slices import blocks

V2T_PROTOCOLS = ('best_caption', 'max_over_captions')


class RetrievalRanks(NamedTuple):
    """Ranks from 1 up; halves where ties are.

    Attributes:
        t2v: float64 ``(N,)``, a rank among M items for each caption.
        v2t: float64 ``(M,)``, a rank for each item: among N captions, or among
            M items for ``'max_over_captions'``.
        top_items: int64 ``(N, k)``, the best items of each caption, best
            first; the lower index first where scores are equal.
        top_scores: float32 ``(N, k)``, the scores of ``top_items``.
        own_scores: float32 ``(N,)``, the score of each caption with the item that it describes.
        top_captions: int64 ``(M,)``, the best of all captions for each item,
            the lowest index where scores are equal.
        top_caption_scores: float32 ``(M,)``.
    """
    t2v: Tensor
    v2t: Tensor
    top_items: Tensor
    top_scores: Tensor
    own_scores: Tensor
    top_captions: Tensor
    top_caption_scores: Tensor


@dataclass(frozen=True)
class TiledScores:
    """Looks like a score matrix ``(N, M)``, of which any block is computed when it is read.

    Args:
        similarity: Takes N' texts and M' visual items, returns ``(N', M')``.
        text: Features of all N captions, or of the distinct ones.
        visual: Features of all M items.
        caption_text: int64 ``(N,)``, the row of ``text`` that each caption is; None where each has its own.
    """
    similarity: Callable[[Features, Features], Tensor]
    text: Features
    visual: Features
    caption_text: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int]:
        captions = self.text.pooled if self.caption_text is None else self.caption_text
        return len(captions), len(self.visual.pooled)

    @property
    def groups(self) -> tuple[Tensor | None, Tensor | None]:
        """The text of each caption, as :func:`~mmcma.evaluation.sweeps.groups_of` takes it."""
        return self.caption_text, None

    def __getitem__(self, block: tuple[Index, Index]) -> Tensor:
        captions, items = block
        if self.caption_text is None:
            return self.similarity(self.text.rows(captions), self.visual.rows(items))
        texts, place = self.caption_text[captions].unique(return_inverse=True)
        scores = self.similarity(self.text.rows(texts), self.visual.rows(items))
        return scores[place.to(scores.device)]

    def part(self, captions: slice, items: slice) -> 'TiledScores':
        """The matrix of some captions and some items."""
        visual = self.visual.rows(items)
        if self.caption_text is None:
            return replace(self, text=self.text.rows(captions), visual=visual)
        return replace(self, caption_text=self.caption_text[captions], visual=visual)


@torch.no_grad()
def retrieval_ranks(scores: ScoreMatrix,
                    caption_item: Tensor | Sequence[int],
                    *,
                    v2t_protocol: str = 'best_caption',
                    top_k: int = 0,
                    text_block: int = 512,
                    visual_block: int = 512,
                    item_ids: Sequence[str] | None = None) -> RetrievalRanks:
    """Ranks of both directions, holding one tile of the matrix at a time.

    The tiles are swept twice: first those that contain a caption's own item,
    to learn its score, then all of them, to count. Both sweeps have the same
    tile borders, and a pair never competes with itself, so that the rounding
    of a matrix product, which depends on its shape, cannot change a rank.

    Args:
        scores: ``(N, M)``, anything with ``shape`` that gives a block for
            ``scores[rows, columns]`` with two slices: a matrix or
            :class:`TiledScores`.
        caption_item: int ``(N,)``, the item (column) that each caption
            describes; every item has at least one.
        v2t_protocol: ``'best_caption'`` or ``'max_over_captions'``.
        top_k: How many best items of each caption to keep; all M if there are fewer.
        text_block: Rows of a tile.
        visual_block: Columns of a tile.
        item_ids: Names of the M items, for messages.

    Raises:
        ConfigError: The protocol or a block size is unknown.
        DataError: ``caption_item`` does not fit the matrix, or an item has no caption.
        NonFiniteError: A score is NaN or infinite; the message names the item.
    """
    if v2t_protocol not in V2T_PROTOCOLS:
        raise ConfigError(f'v2t_protocol={v2t_protocol!r} is unknown; choose one of {V2T_PROTOCOLS}')
    if text_block < 1 or visual_block < 1:
        raise ConfigError(f'text_block={text_block} and visual_block={visual_block} must be at least 1')
    tiles = _Tiles(scores, caption_item, (text_block, visual_block), item_ids)
    own = _own_scores(tiles)  # (N,)
    ranks = _count_rivals(tiles, own, top_k)
    if v2t_protocol == 'max_over_captions':
        ranks = ranks._replace(v2t=1 + _max_over_captions(tiles) / 2)
    return ranks


def rank_metrics(ranks: Tensor | Sequence[float]) -> dict[str, float]:
    """Recall at 1, 5 and 10 in percent, and the median and mean of ``ranks``.

    A tie for the first place has rank 1.5 and is no hit at 1.

    Raises:
        DataError: There are no ranks.
    """
    values = np.asarray(ranks, dtype=np.float64)
    if not values.size:
        raise DataError('there are no ranks to average; the test set is empty')
    recalls = {f'R@{k}': 100 * float((values <= k).mean()) for k in (1, 5, 10)}
    return {**recalls, 'MdR': float(np.median(values)), 'MnR': float(values.mean())}


class _Tiles:
    """Reads checked float32 tiles of ``scores``, always with the same borders."""

    def __init__(self, scores: ScoreMatrix, caption_item: Tensor | Sequence[int], blocks: tuple[int, int],
                 item_ids: Sequence[str] | None) -> None:
        self.scores = scores
        self.num_captions, self.num_items = scores.shape
        self.caption_item = torch.as_tensor(caption_item, dtype=torch.long)
        self.text_block, self.visual_block = blocks
        self.item_ids = item_ids if item_ids is not None else range(self.num_items)
        self._check_owners()

    def _check_owners(self) -> None:
        owner = self.caption_item
        if not self.num_captions or not self.num_items:
            raise DataError(f'{self.num_captions} captions and {self.num_items} items cannot be ranked; '
                            'the test set is empty')
        if owner.shape != (self.num_captions,):
            raise DataError(f'caption_item has shape {tuple(owner.shape)} where the scores have '
                            f'{self.num_captions} captions; give one item for each caption')
        wrong = (owner < 0) | (owner >= self.num_items)
        if wrong.any():
            raise DataError(f'caption_item names item {int(owner[wrong][0])}, but the scores have '
                            f'items 0 to {self.num_items - 1}')
        alone = torch.bincount(owner, minlength=self.num_items) == 0
        if alone.any():
            name = self.item_ids[int(alone.nonzero()[0])]
            raise DataError(f'item {name!r} has no caption, so its v2t rank is undefined; '
                            'give it one or leave it out of the test set')

    def rows(self) -> Iterator[Index]:
        return tiles(self.num_captions, self.text_block, groups_of(self.scores)[0])

    def columns(self) -> Iterator[slice]:
        return blocks(self.num_items, self.visual_block)

    def read(self, rows: Index, columns: slice) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Scores ``(n, m)``, and the places in them of captions with their own items, in the order of the captions."""
        tile = torch.as_tensor(self.scores[rows, columns]).float()
        if not tile.sum().isfinite():  # one pass without a copy; of large scores the sum alone may be infinite
            finite = tile.isfinite()
            if not finite.all():
                self._raise_non_finite(tile, finite, rows, columns)
        item = self.caption_item[rows] - columns.start
        present = ((item >= 0) & (item < tile.shape[1])).nonzero().flatten()
        return tile, (present.to(tile.device), item[present].to(tile.device))

    def _raise_non_finite(self, tile: Tensor, finite: Tensor, rows: Index, columns: slice) -> None:
        row, column = (~finite).nonzero()[0].tolist()
        caption, item = int(positions(rows, self.num_captions)[row]), columns.start + column
        own_name = self.item_ids[int(self.caption_item[caption])]
        # A whole bad row with good rows around it is the caption's fault, anything else the item's.
        text_at_fault = not finite[row].any() and finite[:, column].any()
        names = [f'item {self.item_ids[item]!r}', f'caption {caption} of item {own_name!r}']
        what, other = reversed(names) if text_at_fault else names
        raise NonFiniteError(f'the similarity of {what} to {other} is {tile[row, column].item()}; look at '
                             'its file, or at the weights (a learning rate too high makes them diverge)')


def _own_scores(tiles: _Tiles) -> Tensor:
    """float32 ``(N,)``: the score of each caption with the item that it describes."""
    own_scores = torch.empty(tiles.num_captions)
    for rows in tiles.rows():
        captions = positions(rows, tiles.num_captions)
        touched = set((tiles.caption_item[rows] // tiles.visual_block).tolist())
        for number, columns in enumerate(tiles.columns()):
            if number in touched:
                tile, own = tiles.read(rows, columns)
                own_scores[captions[own[0].cpu()]] = tile[own].cpu()
    return own_scores


def _count_rivals(tiles: _Tiles, own: Tensor, top_k: int) -> RetrievalRanks:
    """Ranks by the number of rivals, ``v2t`` by ``'best_caption'``, and what was found first."""
    best = torch.full((tiles.num_items,), -torch.inf)
    best.scatter_reduce_(0, tiles.caption_item, own, 'amax')  # each item's best own caption
    t2v = torch.zeros(tiles.num_captions, dtype=torch.long)  # twice the better plus the equal rivals
    v2t = torch.zeros(tiles.num_items, dtype=torch.long)
    top_items = torch.empty(tiles.num_captions, min(top_k, tiles.num_items), dtype=torch.long)
    top_scores = torch.empty(top_items.shape)
    top_caption = BestRow(tiles.num_items)
    for rows in tiles.rows():
        top = TopColumns(top_k)
        for columns in tiles.columns():
            tile, is_own = tiles.read(rows, columns)
            top.add(tile, positions(columns, tiles.num_items))
            top_caption.add(tile, positions(rows, tiles.num_captions), columns)
            rivals = tile.index_put(is_own, tile.new_tensor(-torch.inf))
            t2v[rows] += _halves(rivals, own[rows, None].to(tile.device), dim=1)
            v2t[columns] += _halves(rivals, best[columns].to(tile.device), dim=0)
        top_items[rows], top_scores[rows] = top.columns.cpu(), top.scores.cpu()
    return RetrievalRanks(1 + t2v / 2, 1 + v2t / 2, top_items, top_scores, own, top_caption.rows, top_caption.scores)


def _halves(rivals: Tensor, own: Tensor, dim: int) -> Tensor:
    """Twice the better plus the equal, int64: a sign is 1, 0 or -1, and float32 counts exactly up to 2^24 of them."""
    return (rivals - own).sign_().sum(dim).long().cpu() + rivals.shape[dim]


def _max_over_captions(tiles: _Tiles) -> Tensor:
    """Twice the better plus the equal rival items of each item, int64 ``(M,)``."""
    counts = torch.zeros(tiles.num_items, dtype=torch.long)
    for columns in tiles.columns():
        width = columns.stop - columns.start
        best = torch.full((tiles.num_items, width), -torch.inf)  # (M, m): items by their captions
        for rows in tiles.rows():
            tile, _ = tiles.read(rows, columns)
            index = tiles.caption_item[rows, None].expand(-1, width)
            best.scatter_reduce_(0, index, tile.cpu(), 'amax')
        own = best[columns].diagonal().clone()  # (m,)
        best[columns].fill_diagonal_(-torch.inf)
        counts[columns] = _halves(best, own, dim=0)
    return counts
