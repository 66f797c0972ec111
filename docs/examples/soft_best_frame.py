"""A similarity for the head: the best frame of a clip, softly, with a sharpness that is learned."""
import math

import torch
from torch import Tensor, nn

from mmcma.models import Similarity
from mmcma.registry import MODELS
from mmcma.structures import Features


@MODELS.register_module()
class SoftBestFrame(Similarity):
    """Mean of the frames' cosines, each weighted by ``softmax(cosine / temperature)``.

    Args:
        temperature: At the start of training; small picks the best frame, large is a plain mean.
    """

    def __init__(self, *, temperature: float = 0.1) -> None:
        super().__init__()
        self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature)))

    def forward(self, text: Features, visual: Features) -> Tensor:
        return (self.frame_weights(text, visual) * self.cosines(text, visual)).sum(dim=-1)  # (N, M)

    def frame_weights(self, text: Features, visual: Features) -> Tensor | None:
        logits = self.cosines(text, visual) / self.log_temperature.exp()  # (N, M, T)
        if visual.mask is not None:
            logits = logits.masked_fill(~visual.mask, float('-inf'))
        return logits.softmax(dim=-1)

    @staticmethod
    def cosines(text: Features, visual: Features) -> Tensor:
        texts = nn.functional.normalize(text.pooled, dim=-1)  # (N, D)
        frames = nn.functional.normalize(visual.tokens, dim=-1)  # (M, T, D)
        return torch.einsum('nd,mtd->nmt', texts, frames)
