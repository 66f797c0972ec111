"""Frames weighted by the query (Bain et al., 2022; the Cross-Modal Adapter's video head)."""
from functools import partial

from torch import Tensor

from mmcma.models.similarities.base import Similarity, require_tokens
from mmcma.models.similarities.chunks import score_in_chunks
from mmcma.models.similarities.weighted_frames import VALUES_PER_FRAME, weighted_sum_cosine
from mmcma.registry import MODELS
from mmcma.structures import Features
from mmcma.utils.errors import argument_error


@MODELS.register_module()
class QueryScore(Similarity):
    """Cosine of the text and the item's frames, weighted by their agreement with the text; no parameters.

    With frames f_j and text t, both as the towers give them, the weights are
    ``w = softmax_j(<t, f_j> / temperature)`` and the score is the cosine of
    ``t`` and ``sum_j w_j f_j``. An image, T = 1, has the weight 1.

    Args:
        temperature: 5 in the released code; above 0.

    Raises:
        ConfigError: ``temperature`` is not positive.
    """

    def __init__(self, *, temperature: float = 5.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise argument_error(self, 'temperature', temperature, 'must be above 0.')
        self.temperature = temperature

    def forward(self, text: Features, visual: Features) -> Tensor:
        """Cosines ``(N, M)``, float32, of N texts and M visual items."""
        num_frames = require_tokens(visual, 'QueryScore').shape[1]
        return score_in_chunks(self._score, text, visual, VALUES_PER_FRAME * num_frames)

    def frame_weights(self, text: Features, visual: Features) -> Tensor:
        """Softmax weights of the frames for each text, ``(N, M, T)``."""
        frames = require_tokens(visual, 'QueryScore').float()
        return self._weights(frames @ text.pooled.float().T, visual.mask).permute(2, 0, 1)  # (N, M, T)

    def _score(self, text: Features, visual: Features) -> Tensor:
        return weighted_sum_cosine(text.pooled.float(), require_tokens(visual, 'QueryScore').float(),
                                   partial(self._weights, mask=visual.mask))

    def _weights(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        """Softmax over the valid frames: ``(M, T, N)`` -> ``(M, T, N)``."""
        logits = scores / self.temperature
        if mask is not None:
            logits = logits.masked_fill(~mask[..., None], float('-inf'))
        return logits.softmax(dim=1)
