"""The two towers of a ``transformers`` dual encoder, each behind the interface that necks and heads use."""
from typing import Optional

from mmengine.model import BaseModule
from torch import Tensor
from transformers import AutoTokenizer
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from mmcma.errors import WeightsError
from mmcma.models.backbones.pretrained import locate, part, read_dual, read_normalisation
from mmcma.models.backbones.sites import Site
from mmcma.registry import MODELS


class HFTower(BaseModule):
    """What both towers share: layers, sites, and what of them trains.

    Args:
        encoder: A ``transformers`` encoder with ``encoder.layers``.
        projection: Into the joint space.
        source: Name of the pretrained model, for reports and checkpoints; None from scratch.
        width: Channels of the hidden states.
        embed_dim: Channels of the joint space.
        logit_scale: Log of the similarity's scale that the model was trained with.
        trainable: Whether the tower's own weights train (full fine-tuning and
            pretraining); otherwise all of them are frozen.
    """

    def __init__(self, *, encoder, projection, source: Optional[str], width: int, embed_dim: int,
                 logit_scale: Tensor, trainable: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.projection = projection
        self.source = source
        self.width = width
        self.embed_dim = embed_dim
        self.logit_scale = logit_scale.item()
        self.trainable = trainable

    @property
    def blocks(self) -> list:
        """The transformer layers, input first."""
        return list(self.encoder.encoder.layers)

    @property
    def sites(self) -> list[Site]:
        """Attention and feed-forward branch of every layer, input first."""
        return [Site(layer, kind, module, self.width)
                for layer, block in enumerate(self.blocks)
                for kind, module in (('attn', block.self_attn), ('ffn', block.mlp))]

    def trainable_parameters(self) -> list:
        """The tower's own weights that train."""
        return list(self.parameters()) if self.trainable else []


@MODELS.register_module()
class HFVisionTower(HFTower):
    """Vision tower of a ``transformers`` dual encoder.

    Args:
        pretrained: Name on the Hugging Face Hub, a local model folder, or the
            bundled ``'mmcma/clip-tiny-glyphs'``.
        config: Instead of ``pretrained``: a model from scratch, see
            :func:`~mmcma.models.backbones.pretrained.read_dual`.
        trainable: Whether the tower's own weights train.

    Attributes:
        image_size (int): Side of the square input in pixels.
        image_mean, image_std (list[float]): Normalisation per RGB channel of
            pixels in [0, 1].

    Raises:
        WeightsError: The weights cannot be had or do not fit.
    """

    def __init__(self, *, pretrained: Optional[str] = None, config: Optional[dict] = None,
                 trainable: bool = False) -> None:
        dual = read_dual(pretrained=pretrained, config=config)
        vision = dual.config.vision_config
        super().__init__(
            encoder=part(dual, 'vision_model'), projection=part(dual, 'visual_projection'),
            source=pretrained, width=vision.hidden_size,
            embed_dim=dual.config.projection_dim, logit_scale=dual.logit_scale, trainable=trainable)
        self.image_size = vision.image_size
        self.image_mean, self.image_std = (
            read_normalisation(pretrained) if pretrained else (list(OPENAI_CLIP_MEAN), list(OPENAI_CLIP_STD)))

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalised float pixels ``(N, 3, H, W)`` -> embeddings ``(N, D)``."""
        return self.projection(self.encoder(pixel_values=pixels).pooler_output)


@MODELS.register_module()
class HFTextTower(HFTower):
    """Text tower of a ``transformers`` dual encoder with causal attention and its tokenizer.

    Args:
        pretrained: As in :class:`HFVisionTower`.
        config: As in :class:`HFVisionTower`; then ``tokenizer`` is required.
        tokenizer: Model whose tokenizer is used; by default ``pretrained``.
        trainable: Whether the tower's own weights train.

    Attributes:
        tokenizer: The ``transformers`` tokenizer.
        context_length (int): Most tokens of a caption, start and end included.

    Raises:
        WeightsError: The weights or the tokenizer cannot be had or do not fit.
    """

    def __init__(self, *, pretrained: Optional[str] = None, config: Optional[dict] = None,
                 tokenizer: Optional[str] = None, trainable: bool = False) -> None:
        dual = read_dual(pretrained=pretrained, config=config)
        text = dual.config.text_config
        super().__init__(
            encoder=part(dual, 'text_model'), projection=part(dual, 'text_projection'),
            source=pretrained, width=text.hidden_size,
            embed_dim=dual.config.projection_dim, logit_scale=dual.logit_scale, trainable=trainable)
        self.context_length = text.max_position_embeddings
        self.tokenizer = _read_tokenizer(tokenizer or pretrained)
        if len(self.tokenizer) > text.vocab_size:
            raise WeightsError(f'the tokenizer of {tokenizer or pretrained!r} has {len(self.tokenizer)} tokens, the '
                               f'text tower knows {text.vocab_size}: take both from one model.')

    def forward(self, token_ids: Tensor) -> Tensor:
        """Token ids ``(N, L)``, padded after the end token -> embeddings ``(N, D)``.

        The pooled token is the first end token and attention is causal, so
        padding changes nothing and no mask is needed.
        """
        return self.projection(self.encoder(input_ids=token_ids).pooler_output)


def _read_tokenizer(source: Optional[str]):
    if source is None:
        raise WeightsError("a text tower from scratch needs tokenizer='...': a model folder or name to take it from.")
    try:
        return AutoTokenizer.from_pretrained(locate(source))
    except (OSError, ValueError) as error:
        raise WeightsError(f'tokenizer={source!r}: no tokenizer files there (tokenizer.json, or vocab.json and '
                           'merges.txt); copy them from the original model.') from error


