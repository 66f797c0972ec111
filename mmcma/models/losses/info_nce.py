"""Contrastive loss over both directions."""
import torch
from torch import Tensor

from mmcma.models.losses.base import RetrievalLoss
from mmcma.registry import MODELS


@MODELS.register_module()
class SymmetricInfoNCE(RetrievalLoss):
    """Mean of the text-to-visual and visual-to-text InfoNCE, with several positives.

    For each row the probability of *any* of its positives is maximised:
    ``-log(sum_pos exp(s) / sum_all exp(s))``, averaged over rows and then
    over both directions. With one positive a row this is CLIP's loss
    (Radford et al., 2021); the sum over positives is MIL-NCE's (Miech et
    al., CVPR 2020, equation 1).
    """

    def forward(self, logits: Tensor, positives: Tensor) -> Tensor:
        """The InfoNCE, a scalar, of logits ``(N, M)`` and positives bool ``(N, M)``."""
        return (self._one_way(logits, positives) + self._one_way(logits.T, positives.T)) / 2

    @staticmethod
    def _one_way(logits: Tensor, positives: Tensor) -> Tensor:
        hits = logits.masked_fill(~positives, float('-inf'))
        return (torch.logsumexp(logits, dim=1) - torch.logsumexp(hits, dim=1)).mean()
