"""From features to scores and to the loss."""
import math
from collections.abc import Callable

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmcma.models.backbones.tower import TextTower
from mmcma.models.heads.gather import gather_constant, gather_features
from mmcma.registry import MODELS
from mmcma.structures import Features
from mmcma.utils.errors import argument_error

#: Losses by name of gathered text, visual features, positives, logits and the scale: a neck's ``losses``.
FurtherLosses = Callable[[Features, Features, Tensor, Tensor, Tensor], dict[str, Tensor]]


@MODELS.register_module()
class RetrievalHead(BaseModule):
    """Similarity of texts and visual items, and the contrastive loss over the batches of all processes.

    Args:
        similarity: Config of a :class:`~mmcma.models.similarities.Similarity`.
        loss: Config of a :class:`~mmcma.models.losses.RetrievalLoss`.
        train_logit_scale: Whether the scale of the logits trains; it is frozen
            at the backbone's value otherwise. Only for similarities that are cosines.

    Raises:
        ConfigError: A scale is to train that nothing is multiplied by.

    Attributes:
        logit_scale: Log of the scale; CLIP's bound of ``log(100)`` holds.
    """

    max_logit_scale = math.log(100.0)

    def __init__(self, *, similarity: dict, loss: dict, train_logit_scale: bool = False) -> None:
        super().__init__()
        self.similarity = MODELS.build(similarity)
        self.loss_fn = MODELS.build(loss)
        if train_logit_scale and not self.similarity.is_cosine:
            raise argument_error(self, 'train_logit_scale', True, f'has no effect: {type(self.similarity).__name__} '
                                 'gives logits that are not scaled; set it to False.')
        self.train_logit_scale = train_logit_scale
        self.logit_scale = nn.Parameter(torch.tensor(0.0))

    def bind(self, *, embed_dim: int, logit_scale: float, logit_bias: float | None = None,
             text_tower: TextTower | None = None, max_words: int = 0) -> None:
        """Takes from the backbone what it needs.

        Args:
            embed_dim: Width of the joint space.
            logit_scale: Log of the scale.
            logit_bias: Bias of the logits, if the backbone has one.
            text_tower: What encodes the texts.
            max_words: Most tokens of a caption.
        """
        self.similarity.bind(embed_dim)
        if text_tower is not None:
            self.similarity.bind_text(text_tower, max_words)
        self.loss_fn.bind(logit_bias)
        if logit_bias is not None:
            self.max_logit_scale = math.inf  # SigLIP's has no bound, and ends above CLIP's
        nn.init.constant_(self.logit_scale, logit_scale)

    def trainable_parameters(self) -> list:
        """The weights of the similarity and the loss, and the scale if it trains."""
        own = [*self.similarity.parameters(), *self.loss_fn.parameters()]
        return [*own, self.logit_scale] if self.train_logit_scale else own

    def forward(self, text: Features, visual: Features) -> Tensor:
        """Scores ``(N, M)``, float32 also where the caller has turned autocast on; cosines are not scaled."""
        with torch.autocast(text.pooled.device.type, enabled=False):
            return self.similarity(text, visual)

    def loss(self, text: Features, visual: Features, item_index: Tensor,
             further: FurtherLosses | None = None) -> dict[str, Tensor]:
        """Loss over all processes' pairs; captions of one item are positives of each other.

        Args:
            text: Features of the local batch's B captions.
            visual: Features of the local batch's B items, in the captions' order.
            item_index: int ``(B,)``, which item each pair shows.
            further: The neck's :meth:`~mmcma.models.Neck.losses`.

        Returns:
            ``loss`` (scalar) and ``logit_scale`` (the active factor; 1 for scores that are logits as they are).
            Where there are further losses, scalars too, ``loss_retrieval`` in the place of ``loss``, and
            ``loss_<name>`` of each: mmengine trains their sum and logs it as ``loss``.
        """
        text, visual = gather_features(text), gather_features(visual)
        item_index = gather_constant(item_index)
        positives = item_index[:, None] == item_index[None, :]
        scale = self._scale()
        logits = scale * self(text, visual)
        loss = self.loss_fn(logits, positives)
        more = {} if further is None else further(text, visual, positives, logits, scale)
        own = dict(loss_retrieval=loss) if more else dict(loss=loss)
        return own | {f'loss_{name}': value for name, value in more.items()} | dict(logit_scale=scale.detach())

    def _scale(self) -> Tensor:
        if not self.similarity.is_cosine:
            return torch.ones_like(self.logit_scale)
        return self.logit_scale.clamp(max=self.max_logit_scale).exp()
