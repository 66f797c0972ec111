"""Querybank normalisation (QB-Norm: Bogolin et al., CVPR 2022)."""
from dataclasses import replace

import torch
from torch import Tensor

from mmcma.evaluation.extra import Rescoring
from mmcma.evaluation.ranking import TiledScores
from mmcma.evaluation.sweeps import Index, Rescored, ScoreMatrix, column_logsumexp, top_columns
from mmcma.registry import METRICS
from mmcma.structures import Features
from mmcma.utils.errors import argument_error


@METRICS.register_module()
class QuerybankNorm(Rescoring):
    """Ranks by the dynamic inverted softmax over a bank of queries.

    A query whose best gallery entry is also the best of some query b of the
    bank is ranked by ``exp(beta s_qg) / sum_b exp(beta s_bg)``; the others,
    which meet no such hub, by ``s_qg``. What is computed is the logarithm,
    which ranks the same.

    Without a bank the test set's own queries are it: then every query is
    normalised, and the figures cannot be compared with those of plain
    retrieval. The paper takes the bank from the training set.

    Args:
        beta: Inverse temperature; 20 in the paper, for cosines.
        text_bank: Features of the bank's texts, from Python; None for the test set's.
        visual_bank: Features of the bank's visual items, which are queries
            from visual to text; None for the test set's.
        key: Put before the names of the figures, such as ``'qbnorm/t2v/R@1'``.

    Raises:
        ConfigError: ``beta`` is not positive.
    """

    def __init__(self, *, beta: float = 20.0, text_bank: Features | None = None,
                 visual_bank: Features | None = None, key: str = 'qbnorm') -> None:
        super().__init__(key=key)
        if beta <= 0:
            raise argument_error(self, 'beta', beta, 'must be above 0.')
        self.beta = beta
        self.text_bank, self.visual_bank = text_bank, visual_bank

    def banks(self, scores: TiledScores) -> tuple[TiledScores, TiledScores]:
        """Scores of the given banks, or of the test set's own texts and visual items where none is given."""
        return (scores if self.text_bank is None else replace(scores, text=self.text_bank, caption_text=None),
                scores if self.visual_bank is None else replace(scores, visual=self.visual_bank))

    def rescored(self, scores: ScoreMatrix, bank: ScoreMatrix, block_sizes: tuple[int, int]) -> Rescored:
        """Scores ``(Q, G)``, those of queries that meet a hub of the bank normalised, tile by tile."""
        totals = column_logsumexp(bank, self.beta, block_sizes)  # (G,)
        hubs = top_columns(bank, 1, block_sizes).unique()
        meets_hub = torch.isin(top_columns(scores, 1, block_sizes), hubs)  # (Q, 1)

        def normalise(tile: Tensor, rows: Index, columns: Index) -> Tensor:
            normalised = self.beta * tile - totals[columns].to(tile.device)
            return torch.where(meets_hub[rows].to(tile.device), normalised, tile)

        return Rescored(scores, normalise)
