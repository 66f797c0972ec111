"""From features to scores and to the loss."""
import math

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmcma.models.heads.gather import gather_constant, gather_features
from mmcma.registry import MODELS
from mmcma.structures import Features


@MODELS.register_module()
class RetrievalHead(BaseModule):
    """Similarity of texts and visual items, and the contrastive loss over the batches of all processes.

    Args:
        similarity: Config of a :class:`~mmcma.models.similarities.Similarity`.
        loss: Config of a loss that takes logits and positives, both ``(N, M)``.
        train_logit_scale: Whether the scale of the logits trains; it is frozen
            at the backbone's value otherwise.

    Attributes:
        logit_scale: Log of the scale; CLIP's bound of ``log(100)`` holds.
    """

    max_logit_scale = math.log(100.0)

    def __init__(self, *, similarity: dict, loss: dict, train_logit_scale: bool = False) -> None:
        super().__init__()
        self.similarity = MODELS.build(similarity)
        self.loss_fn = MODELS.build(loss)
        self.train_logit_scale = train_logit_scale
        self.logit_scale = nn.Parameter(torch.tensor(0.0))

    def bind(self, *, embed_dim: int, logit_scale: float) -> None:
        """Takes the width of the joint space and the log of the scale from the backbone."""
        self.similarity.bind(embed_dim)
        nn.init.constant_(self.logit_scale, logit_scale)

    def trainable_parameters(self) -> list:
        """The weights of the similarity and the loss, and the scale if it trains."""
        own = [*self.similarity.parameters(), *self.loss_fn.parameters()]
        return [*own, self.logit_scale] if self.train_logit_scale else own

    def forward(self, text: Features, visual: Features) -> Tensor:
        """Cosines ``(N, M)``, float32 also where the caller has turned autocast on, not scaled."""
        with torch.autocast(text.pooled.device.type, enabled=False):
            return self.similarity(text, visual)

    def loss(self, text: Features, visual: Features, item_index: Tensor) -> dict[str, Tensor]:
        """Loss over all processes' pairs; captions of one item are positives of each other.

        Args:
            text: Of the local batch, B captions.
            visual: Of the local batch, B items, in the captions' order.
            item_index: int ``(B,)``, which item each pair shows.

        Returns:
            ``loss`` (scalar) and ``logit_scale`` (the factor in force).
        """
        text, visual = gather_features(text), gather_features(visual)
        item_index = gather_constant(item_index)
        positives = item_index[:, None] == item_index[None, :]
        scale = self.logit_scale.clamp(max=self.max_logit_scale).exp()
        loss = self.loss_fn(scale * self(text, visual), positives)
        return dict(loss=loss, logit_scale=scale.detach())
