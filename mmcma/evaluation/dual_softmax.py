"""Dual softmax at inference (CAMoE: Cheng et al., arXiv 2109.04290, 2021)."""

from torch import Tensor

from mmcma.evaluation.extra import Rescoring
from mmcma.evaluation.sweeps import Index, Rescored, ScoreMatrix, column_logsumexp
from mmcma.registry import METRICS
from mmcma.utils.errors import argument_error


@METRICS.register_module()
class DualSoftmax(Rescoring):
    """Ranks by ``s_qg * softmax_q(s_qg / temperature)``, the softmax over all queries q of the test set.

    It knows every query of the test before it answers the first, so that its
    figures cannot be compared with those of plain retrieval.

    Args:
        temperature: Divides the scores in the softmax, above 0; 0.01 is CLIP's
            own scale of cosines, 1 fits scores that are logits.
        key: Put before the names of the figures, such as ``'dsl/t2v/R@1'``.

    Raises:
        ConfigError: ``temperature`` is not positive.
    """

    def __init__(self, *, temperature: float = 0.01, key: str = 'dsl') -> None:
        super().__init__(key=key)
        if temperature <= 0:
            raise argument_error(self, 'temperature', temperature, 'must be above 0.')
        self.scale = 1 / temperature

    def rescored(self, scores: ScoreMatrix, bank: ScoreMatrix, block_sizes: tuple[int, int]) -> Rescored:
        """Scores ``(Q, G)`` times their softmax over the bank's queries, tile by tile."""
        totals = column_logsumexp(bank, self.scale, block_sizes)  # (G,)

        def revise(tile: Tensor, rows: Index, columns: Index) -> Tensor:
            return tile * (self.scale * tile - totals[columns].to(tile.device)).exp()

        return Rescored(scores, revise)
