"""Passes over a score matrix that is read tile by tile.

The rounding of a score depends on the tile it is computed in. Rows that are the same query come with a number
that says so, their group; they are read in one tile, so that their scores are equal whatever the tile's size.
"""
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from mmcma.utils.slices import blocks

#: Rows or columns of a score matrix.
Index = slice | Tensor


class ScoreMatrix(Protocol):
    """A score matrix ``(N, M)``, a tensor or one whose blocks are computed when they are read."""

    @property
    def shape(self) -> tuple[int, ...]:
        """N and M."""

    def __getitem__(self, block: tuple[Index, Index], /) -> Tensor:
        """The scores in some rows and columns."""


def groups_of(scores: ScoreMatrix) -> tuple[Tensor | None, Tensor | None]:
    """Groups of the rows and of the columns of a matrix, int64; None where each is one of its own."""
    return getattr(scores, 'groups', (None, None))


def tiles(total: int, size: int, groups: Tensor | None) -> Iterator[Index]:
    """Rows, or columns, in tiles of ``size``, or of more where a group would be cut; groups in order of number."""
    if groups is None:
        yield from blocks(total, size)
        return
    order = groups.argsort(stable=True)
    ends = groups[order].unique_consecutive(return_counts=True)[1].cumsum(0)
    start = 0
    while start < total:
        stop = int(ends[torch.searchsorted(ends, min(start + size, total))])
        yield order[start:stop]
        start = stop


def first_of(groups: Tensor) -> Tensor:
    """Where each group comes first: int64 ``(groups,)``, of group numbers ``(N,)`` from 0 up."""
    count = int(groups.max()) + 1
    return torch.full((count,), len(groups)).scatter_reduce_(0, groups, torch.arange(len(groups)), 'amin')


def positions(index: Index, total: int) -> Tensor:
    """The rows, or columns, of ``total`` that an index picks: int64."""
    return torch.arange(total)[index]


class TopColumns:
    """The best columns of a block of rows, merged tile after tile.

    Of equal scores the first columns are kept, and stand first, for any tile size.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.scores = self.columns = torch.empty(0)

    def add(self, tile: Tensor, columns: Tensor) -> None:
        """Takes the next tile to the right, ``(n, m)``, and the numbers of its columns, ``(m,)``."""
        columns = columns.to(tile.device).expand_as(tile)
        if not self.columns.numel():
            self.scores, self.columns = self._best(tile, columns)
        elif self.scores.shape[1] < self.count:
            self.scores, self.columns = self._best(*self._joined(tile, columns))
        else:
            # Few rows have something better to the right: the others are not searched.
            better = tile.amax(dim=1) > self.scores[:, -1]
            self.scores[better], self.columns[better] = self._best(*self._joined(tile, columns, better))

    def _joined(self, tile: Tensor, columns: Tensor, rows: Index = slice(None)) -> tuple[Tensor, Tensor]:
        return torch.cat([self.scores[rows], tile[rows]], 1), torch.cat([self.columns[rows], columns[rows]], 1)

    def _best(self, scores: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """The largest of ``(n, m)`` and their columns, both ``(n, count)``, or fewer where m is less."""
        count = min(self.count, scores.shape[1])
        least = scores.topk(count, dim=1).values[:, -1:] if count else scores.new_full((len(scores), 1), torch.inf)
        above, equal = scores > least, scores == least
        # topk picks any of equal scores: those that just find room are counted from the left.
        room = count - above.sum(dim=1, keepdim=True)
        places = (above | (equal & (equal.cumsum(dim=1) <= room))).nonzero()[:, 1].view(len(scores), count)
        scores, columns = scores.gather(1, places), columns.gather(1, places)
        order = scores.argsort(dim=1, descending=True, stable=True)
        return scores.gather(1, order), columns.gather(1, order)


class BestRow:
    """The best row of each of M columns, merged tile after tile.

    Of equal scores the first row is kept, for any tile size; tiles of groups, which are in order of their first
    rows, included.
    """

    def __init__(self, num_columns: int) -> None:
        self.scores = torch.full((num_columns,), -torch.inf)
        self.rows = torch.zeros(num_columns, dtype=torch.long)

    def add(self, tile: Tensor, rows: Tensor, columns: slice) -> None:
        """Takes the tile ``(n, m)`` of the columns and the numbers of its rows, ``(n,)``."""
        scores = tile.amax(dim=0).cpu()
        better = scores > self.scores[columns]  # of most columns no further tile is: only the few are searched
        first = tile[:, better.to(tile.device)].argmax(dim=0).cpu()
        self.scores[columns][better] = scores[better]
        self.rows[columns][better] = rows[first]


def top_columns(scores: ScoreMatrix, count: int, block_sizes: tuple[int, int]) -> Tensor:
    """int64 ``(N, count)``: each row's best columns of a score matrix ``(N, M)``, best first; all M if fewer.

    NaN is the least of all: to complain of it is left to the ranking.
    """
    (num_rows, num_columns), (row_block, column_block) = scores.shape, block_sizes
    row_groups, column_groups = groups_of(scores)
    best = torch.empty(num_rows, min(count, num_columns), dtype=torch.long)
    for rows in tiles(num_rows, row_block, row_groups):
        top = TopColumns(count)
        for columns in tiles(num_columns, column_block, column_groups):
            tile = torch.as_tensor(scores[rows, columns]).float()
            top.add(tile.masked_fill(tile.isnan(), -torch.inf), positions(columns, num_columns))
        best[rows] = top.columns.cpu()
    return best


def column_logsumexp(scores: ScoreMatrix, scale: float, block_sizes: tuple[int, int]) -> Tensor:
    """float64 ``(M,)``: ``log sum_i exp(scale * s_ij)`` of a score matrix ``(N, M)``."""
    (num_rows, num_columns), (row_block, column_block) = scores.shape, block_sizes
    row_groups, column_groups = groups_of(scores)
    totals = torch.full((num_columns,), -torch.inf, dtype=torch.float64)
    for rows in tiles(num_rows, row_block, row_groups):
        for columns in tiles(num_columns, column_block, column_groups):
            tile = torch.as_tensor(scores[rows, columns]).double()
            totals[columns] = totals[columns].logaddexp((scale * tile).logsumexp(dim=0).cpu())
    return totals if column_groups is None else totals[first_of(column_groups)[column_groups]]


@dataclass(frozen=True)
class Transposed:
    """A score matrix ``(N, M)`` read as ``(M, N)``."""
    scores: ScoreMatrix

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(reversed(self.scores.shape))

    @property
    def groups(self) -> tuple[Tensor | None, Tensor | None]:
        rows, columns = groups_of(self.scores)
        return columns, rows

    def __getitem__(self, block: tuple[Index, Index]) -> Tensor:
        rows, columns = block
        return self.scores[columns, rows].T


@dataclass(frozen=True)
class Rescored:
    """A score matrix each of whose tiles is changed when it is read.

    Args:
        scores: ``(N, M)``.
        change: Maps a tile ``(n, m)``, float64, its rows and its columns to a tile.
    """
    scores: ScoreMatrix
    change: Callable[[Tensor, Index, Index], Tensor]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.scores.shape

    @property
    def groups(self) -> tuple[Tensor | None, Tensor | None]:
        return groups_of(self.scores)

    def __getitem__(self, block: tuple[Index, Index]) -> Tensor:
        return self.change(torch.as_tensor(self.scores[block]).double(), *block)
