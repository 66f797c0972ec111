"""Mean of the frames (CLIP4Clip's meanP: Luo et al., Neurocomputing 508, 2022)."""

import torch
from torch import Tensor

from mmcma.models.similarities.base import Similarity, require_tokens, unit
from mmcma.registry import MODELS
from mmcma.structures import Features


@MODELS.register_module()
class MeanPool(Similarity):
    """Cosine of the text and the mean of the item's L2-normalised frames; no parameters."""

    def forward(self, text: Features, visual: Features) -> Tensor:
        """Cosines ``(N, M)``, float32, of N texts and M visual items."""
        return mean_cosine(text.pooled, require_tokens(visual, 'MeanPool'), visual.mask)

    def frame_weights(self, text: Features, visual: Features) -> Tensor:
        """Equal weights ``(N, M, T)`` of all valid frames of an item."""
        frames = require_tokens(visual, 'MeanPool')
        valid = torch.ones(frames.shape[:2], device=frames.device) if visual.mask is None else visual.mask.float()
        return (valid / valid.sum(dim=1, keepdim=True)).expand(len(text.pooled), -1, -1)  # (N, M, T)


def mean_cosine(texts: Tensor, frames: Tensor, mask: Tensor | None) -> Tensor:
    """Cosines ``(N, M)`` of texts ``(N, D)`` and means of normalised frames ``(M, T, D)``, masked ``(M, T)``."""
    frames = unit(frames.float())
    if mask is not None:
        frames = frames * mask[..., None]
    # The length of the sum is divided away: a sum is as good as a mean.
    return unit(texts.float()) @ unit(frames.sum(dim=1)).T
