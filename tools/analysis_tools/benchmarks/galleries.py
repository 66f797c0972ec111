"""The ranking of a large gallery of vectors, in a process that loads nothing else."""
import time
from functools import cached_property

import torch
from torch.nn.functional import normalize

from mmcma.evaluation import RetrievalRanks, TiledScores, rank_metrics, retrieval_ranks
from mmcma.structures import Features
from mmcma.utils.process_memory import highest_resident
from mmcma.utils.slices import blocks

TOP, TILE = 5, 512  # best items of each text, and sides of a tile: those of a test


class Gallery:
    """Random vectors, each text near its item's.

    Args:
        size: Texts, and items.
        dim: Of a vector.
    """

    def __init__(self, size: int, dim: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.visual = normalize(torch.randn(size, dim, generator=generator), dim=-1)
        noise = torch.randn(size, dim, generator=generator).mul_(6 / dim**0.5)
        self.text = normalize(noise.add_(self.visual), dim=-1)
        self.before = highest_resident()

    @cached_property
    def scores(self) -> TiledScores:
        """Their cosines, tile by tile."""
        return TiledScores(lambda text, visual: text.pooled @ visual.pooled.T, Features(self.text),
                           Features(self.visual))

    def ranks(self, scores) -> RetrievalRanks:
        """As a test ranks."""
        return retrieval_ranks(scores, range(len(self.text)), top_k=TOP, text_block=TILE, visual_block=TILE)

    def rank(self) -> dict:
        """Seconds, the figures, and the most bytes of the process before and since."""
        began = time.perf_counter()
        ranks = self.ranks(self.scores)
        return dict(seconds=time.perf_counter() - began, before_bytes=self.before, process_bytes=highest_resident(),
                    metrics={f'{way}/{key}': value for way, found in (('t2v', ranks.t2v), ('v2t', ranks.v2t))
                             for key, value in rank_metrics(found).items()})

    def differs_from_sorting(self) -> int:
        """How many ranks of either direction, and best items, are not those of the whole matrix, sorted."""
        tiles = [list(blocks(size, TILE)) for size in self.scores.shape]
        matrix = torch.cat([torch.cat([self.scores[rows, columns] for columns in tiles[1]], 1) for rows in tiles[0]])
        ranks = self.ranks(self.scores)
        places = torch.arange(len(matrix))[:, None]
        orders = [side.argsort(dim=1, descending=True) for side in (matrix, matrix.T)]
        differ = [found != (order == places).nonzero()[:, 1] + 1 for found, order in zip(ranks, orders)]
        return sum(int(wrong.sum()) for wrong in [*differ, ranks.top_items != orders[0][:, :TOP]])
