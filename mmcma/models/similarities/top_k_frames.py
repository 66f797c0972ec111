"""Mean of the frames nearest to the text (the top-k baseline of X-Pool: Gorti et al., CVPR 2022)."""
from functools import partial

import torch
from torch import Tensor

from mmcma.models.similarities.base import Similarity, require_tokens, unit
from mmcma.models.similarities.chunks import score_in_chunks
from mmcma.models.similarities.weighted_frames import VALUES_PER_FRAME, weighted_sum_cosine
from mmcma.registry import MODELS
from mmcma.structures import Features
from mmcma.utils.errors import argument_error


@MODELS.register_module()
class TopKFrames(Similarity):
    """Cosine of the text and the mean of the k L2-normalised frames nearest to it; no parameters.

    An item of k frames or fewer, such as an image, is pooled whole, as by :class:`MeanPool`.

    Args:
        k: How many frames, at least 1.

    Raises:
        ConfigError: ``k`` is below 1.
    """

    def __init__(self, *, k: int = 3) -> None:
        super().__init__()
        if k < 1:
            raise argument_error(self, 'k', k, 'must be at least 1.')
        self.k = self.least_tokens = k

    def forward(self, text: Features, visual: Features) -> Tensor:
        """Cosines ``(N, M)``, float32, of N texts and M visual items."""
        num_frames = require_tokens(visual, 'TopKFrames').shape[1]
        return score_in_chunks(self._score, text, visual, VALUES_PER_FRAME * num_frames)

    def frame_weights(self, text: Features, visual: Features) -> Tensor:
        """Equal weights of the k nearest frames, ``(N, M, T)``."""
        frames = unit(require_tokens(visual, 'TopKFrames').float())
        weights = self._weights(frames @ text.pooled.float().T, visual.mask)  # (M, T, N)
        return (weights / weights.sum(dim=1, keepdim=True)).permute(2, 0, 1)

    def _score(self, text: Features, visual: Features) -> Tensor:
        return weighted_sum_cosine(text.pooled.float(), unit(require_tokens(visual, 'TopKFrames').float()),
                                   partial(self._weights, mask=visual.mask))

    def _weights(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        """1 for the nearest valid frames, else 0: ``(M, T, N)`` -> ``(M, T, N)``."""
        valid = torch.ones_like(scores) if mask is None else mask[..., None].expand_as(scores).to(scores)
        best = scores.masked_fill(valid == 0, float('-inf')).topk(min(self.k, scores.shape[1]), dim=1).indices
        # Where fewer than k frames are valid, topk had to take padding.
        return torch.zeros_like(scores).scatter(1, best, 1.0) * valid
