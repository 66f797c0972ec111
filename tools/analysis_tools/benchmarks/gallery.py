"""Ranks of a large gallery of vectors, both ways, in tiles: the matrix of all scores is never there.

At a small size every rank must be that of the whole matrix, sorted. Memory is that of the whole process, which loads
nothing else, libraries included.
"""
import argparse

import torch
from torch.nn.functional import normalize

from benchmarks.core import IsolatedProcess, Workload, print_table, save, spread
from mmcma.evaluation import RetrievalRanks, TiledScores, rank_metrics, retrieval_ranks
from mmcma.structures import Features
from mmcma.utils.errors import DataError
from mmcma.utils.slices import blocks

CHECKED_SIZE = 1500  # three tiles a side, the last one shorter
TOP, TILE = 5, 512  # best items of each text, and sides of a tile: those of a test


def gallery(args: argparse.Namespace) -> None:
    """Checks, measures, prints and saves."""
    if args.tiny:
        args.size, args.dim = min(args.size, 600), min(args.dim, 16)
    with IsolatedProcess(Ranking, CHECKED_SIZE, args.dim) as small:
        wrong = small.call('differs_from_sorting')
    if wrong:
        raise DataError(f'{wrong} ranks of {CHECKED_SIZE} x {CHECKED_SIZE} are not those of the sorted matrix.')
    print(f'all ranks of {CHECKED_SIZE:,} x {CHECKED_SIZE:,} are those of the sorted matrix')
    with IsolatedProcess(Ranking, args.size, args.dim) as ranking:
        costs = [ranking.call('measure') for _ in range(args.rounds)]
        metrics = ranking.call('metrics')
    seconds = spread([cost.seconds for cost in costs])
    memory = dict(before_bytes=costs[-1].process_bytes - costs[-1].peak_bytes, process_bytes=costs[-1].process_bytes)
    print_table(f'Ranks of {args.size:,} x {args.size:,} vectors of {args.dim}',
                ('', 'seconds', 'process before, MiB', 'process, MiB'),
                [('ours', f'{seconds["median"]:.4g}', *(size >> 20 for size in memory.values()))])
    save(args, 'gallery', dict(seconds=seconds, **memory, matrix_bytes=4 * args.size**2, metrics=metrics))


class Ranking(Workload):
    """Ranks of random vectors, each text near its item's.

    Args:
        size: Texts, and items.
        dim: Length of a vector.
    """

    def __init__(self, size: int, dim: int) -> None:
        generator = torch.Generator().manual_seed(0)
        visual = normalize(torch.randn(size, dim, generator=generator), dim=-1)
        noise = torch.randn(size, dim, generator=generator).mul_(6 / dim**0.5)
        text = normalize(noise.add_(visual), dim=-1)
        self.scores = TiledScores(lambda text, visual: text.pooled @ visual.pooled.T, Features(text), Features(visual))
        self.ready()

    def work(self) -> RetrievalRanks:
        """Ranks as a test does."""
        self._ranks = retrieval_ranks(self.scores, range(self.scores.shape[0]), top_k=TOP, text_block=TILE,
                                      visual_block=TILE)
        return self._ranks

    def metrics(self) -> dict[str, float]:
        """The figures of the last ranks, by direction and name."""
        return {f'{direction}/{key}': value
                for direction, ranks in (('t2v', self._ranks.t2v), ('v2t', self._ranks.v2t))
                for key, value in rank_metrics(ranks).items()}

    def differs_from_sorting(self) -> int:
        """How many ranks of either direction, and best items, are not those of the whole matrix, sorted."""
        tiles = [list(blocks(size, TILE)) for size in self.scores.shape]
        matrix = torch.cat([torch.cat([self.scores[rows, columns] for columns in tiles[1]], 1) for rows in tiles[0]])
        ranks = self.work()
        places = torch.arange(len(matrix))[:, None]
        orders = [side.argsort(dim=1, descending=True) for side in (matrix, matrix.T)]
        differ = [found != (order == places).nonzero()[:, 1] + 1 for found, order in zip(ranks, orders)]
        return sum(int(wrong.sum()) for wrong in [*differ, ranks.top_items != orders[0][:, :TOP]])
