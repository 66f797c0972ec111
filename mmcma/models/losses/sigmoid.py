"""A yes or no for every pair (SigLIP: Zhai et al., ICCV 2023)."""

import torch
from mmengine.dist import broadcast
from torch import Tensor, nn
from torch.nn import functional as F

from mmcma.models.losses.base import RetrievalLoss
from mmcma.registry import MODELS


@MODELS.register_module()
class SigmoidLoss(RetrievalLoss):
    """Sum over all pairs of ``-log sigmoid(z (s + b))``, divided by the number of texts (paper, equation 2).

    ``z`` is 1 where text and item belong together and -1 elsewhere, so that a
    row may have several positives. The bias b is one trained parameter; the
    scale in ``s`` is the head's.

    Args:
        bias: Where b starts: -10 in the paper, from scratch and with a scale of
            10. None for the backbone's own, where it was trained with this loss.
            Other backbones have none, and CLIP's scale of 100 with a bias of -10
            would take nearly every pair for a match; there b starts at
            ``-mean_i log sum_j exp(s_ij)`` of the first batch, where
            ``sigmoid(s + b)`` is about the softmax over the batch.
    """

    def __init__(self, *, bias: float | None = None) -> None:
        super().__init__()
        # NaN: not started yet.
        self.bias = nn.Parameter(torch.tensor(float('nan') if bias is None else float(bias)))

    def bind(self, logit_bias: float | None) -> None:
        """Starts the bias at the backbone's, where that has one and none was given."""
        if logit_bias is not None and self.bias.isnan():
            nn.init.constant_(self.bias, logit_bias)

    def forward(self, logits: Tensor, positives: Tensor) -> Tensor:
        """The sigmoid loss, a scalar, of logits ``(N, M)`` and positives bool ``(N, M)``."""
        if self.bias.isnan():
            self._start(logits.detach())
        signs = positives.to(logits) * 2 - 1
        return -F.logsigmoid(signs * (logits + self.bias)).sum() / len(logits)

    @torch.no_grad()
    def _start(self, logits: Tensor) -> None:
        self.bias.copy_(-logits.logsumexp(dim=1).mean())
        broadcast(self.bias.data)  # dropout in a similarity makes the processes' logits differ
