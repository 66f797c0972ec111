"""Frames weighted by the query (Bain et al., 2022; the Cross-Modal Adapter's video head)."""
import torch
from torch import Tensor

from mmcma.errors import ConfigError
from mmcma.models.similarities.base import Similarity, require_tokens
from mmcma.registry import MODELS
from mmcma.structures import Features


@MODELS.register_module()
class QueryScore(Similarity):
    """Cosine of the text and the item's frames, weighted by their agreement with the text; no parameters.

    With frames f_j and text t, both as the towers give them, the weights are
    ``w = softmax_j(<t, f_j> / temperature)`` and the score is the cosine of
    ``t`` and ``sum_j w_j f_j``.

    The weighted sum, ``(N, M, D)``, is never formed: with ``s_j = <t, f_j>``
    its product with ``t`` is ``sum_j w_j s_j``, and its squared length is
    ``w' G w`` with the Gram matrix ``G = f f'`` of the item's own frames.

    Args:
        temperature: 5 in the released code; above 0.

    Raises:
        ConfigError: ``temperature`` is not positive.
    """

    def __init__(self, *, temperature: float = 5.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise ConfigError(f'model.head.similarity.temperature={temperature} must be above 0.')
        self.temperature = temperature

    def forward(self, text: Features, visual: Features) -> Tensor:
        """See :meth:`Similarity.forward`."""
        queries = text.pooled.float()  # (N, D)
        frames = require_tokens(visual, 'QueryScore').float()  # (M, T, D)
        scores = frames @ queries.T  # (M, T, N)
        weights = self._weights(scores, visual.mask)
        gram = frames @ frames.transpose(1, 2)  # (M, T, T)
        dot = (weights * scores).sum(dim=1)  # (M, N)
        squared = (weights * (gram @ weights)).sum(dim=1)  # (M, N)
        # Rounding can push a tiny length below zero; the floor keeps the root and its gradient finite.
        length = squared.clamp_min(torch.finfo(squared.dtype).tiny).sqrt()
        return (dot / (length * queries.norm(dim=-1).clamp_min(1e-12))).T

    def _weights(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        """Softmax over the valid frames: ``(M, T, N)`` -> ``(M, T, N)``."""
        logits = scores / self.temperature
        if mask is not None:
            logits = logits.masked_fill(~mask[..., None], float('-inf'))
        return logits.softmax(dim=1)
