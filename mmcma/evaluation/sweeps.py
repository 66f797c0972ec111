"""Passes over a score matrix that is read tile by tile."""
from collections.abc import Callable
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


class TopColumns:
    """The best columns of a block of rows, merged tile after tile.

    Of equal scores the first columns are kept, and stand first, for any tile size.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.scores = self.columns = torch.empty(0)

    def add(self, tile: Tensor, first_column: int) -> None:
        """Takes the next tile to the right, ``(n, m)``."""
        columns = torch.arange(first_column, first_column + tile.shape[1], device=tile.device).expand_as(tile)
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


def top_columns(scores: ScoreMatrix, count: int, block_sizes: tuple[int, int]) -> Tensor:
    """int64 ``(N, count)``: each row's best columns of a score matrix ``(N, M)``, best first; all M if fewer.

    NaN is the least of all: to complain of it is left to the ranking.
    """
    (num_rows, num_columns), (row_block, column_block) = scores.shape, block_sizes
    tops = []
    for rows in blocks(num_rows, row_block):
        top = TopColumns(count)
        for columns in blocks(num_columns, column_block):
            tile = torch.as_tensor(scores[rows, columns]).float()
            top.add(tile.masked_fill(tile.isnan(), -torch.inf), columns.start)
        tops.append(top.columns.cpu())
    return torch.cat(tops)


def column_logsumexp(scores: ScoreMatrix, scale: float, block_sizes: tuple[int, int]) -> Tensor:
    """float64 ``(M,)``: ``log sum_i exp(scale * s_ij)`` of a score matrix ``(N, M)``."""
    (num_rows, num_columns), (row_block, column_block) = scores.shape, block_sizes
    totals = torch.full((num_columns,), -torch.inf, dtype=torch.float64)
    for rows in blocks(num_rows, row_block):
        for columns in blocks(num_columns, column_block):
            tile = torch.as_tensor(scores[rows, columns]).double()
            totals[columns] = totals[columns].logaddexp((scale * tile).logsumexp(dim=0).cpu())
    return totals


@dataclass(frozen=True)
class Transposed:
    """A score matrix ``(N, M)`` read as ``(M, N)``."""
    scores: ScoreMatrix

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(reversed(self.scores.shape))

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

    def __getitem__(self, block: tuple[Index, Index]) -> Tensor:
        return self.change(torch.as_tensor(self.scores[block]).double(), *block)
