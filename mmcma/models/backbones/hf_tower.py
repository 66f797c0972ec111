"""The two towers of a ``transformers`` dual encoder, each behind the interface that necks and heads use."""
from typing import Optional, Union

from torch import Tensor, nn
from transformers import AutoTokenizer
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from mmcma.errors import WeightsError
from mmcma.models.backbones.pretrained import locate, part, read_dual, read_normalisation
from mmcma.models.backbones.sites import Site
from mmcma.models.backbones.tower import Tower
from mmcma.registry import MODELS
from mmcma.structures import Features


class HFTower(Tower):
    """What both halves of a dual encoder share: layers and sites.

    Args:
        encoder: A ``transformers`` encoder with ``embeddings`` and ``encoder.layers``.
        projection: Into the joint space.
        logit_scale: Log of the similarity's scale that the model was trained with.
        **kwargs: See :class:`Tower`.
    """

    def __init__(self, *, encoder: nn.Module, projection: nn.Module, logit_scale: Tensor, **kwargs) -> None:
        super().__init__(**kwargs)
        self.encoder = encoder
        self.projection = projection
        self.logit_scale = logit_scale.item()

    @property
    def blocks(self) -> list[nn.Module]:
        """See :class:`Tower`."""
        return list(self.encoder.encoder.layers)

    @property
    def stem(self) -> list[nn.Module]:
        """See :class:`Tower`."""
        norm = getattr(self.encoder, 'pre_layrnorm', None)  # transformers' spelling, from OpenAI's days
        return [module for module in (self.encoder.embeddings, norm) if module is not None]

    @property
    def sites(self) -> list[Site]:
        """See :class:`Tower`."""
        return [Site(layer, kind, module, self.width)
                for layer, block in enumerate(self.blocks)
                for kind, module in (('attn', block.self_attn), ('ffn', block.mlp))]


@MODELS.register_module()
class HFVisionTower(HFTower):
    """Vision tower of a ``transformers`` dual encoder.

    Args:
        pretrained: Name on the Hugging Face Hub, a local model folder, or the
            bundled ``'mmcma/clip-tiny-glyphs'``.
        config: Instead of ``pretrained``: a model from scratch, see
            :func:`~mmcma.models.backbones.pretrained.read_dual`.
        trainable: What of the tower's own weights trains, see :class:`Tower`.

    Attributes:
        image_size (int): Side of the square input in pixels.
        image_mean, image_std (list[float]): Normalisation per RGB channel of
            pixels in [0, 1].

    Raises:
        WeightsError: The weights cannot be had or do not fit.
    """

    def __init__(self, *, pretrained: Optional[str] = None, config: Optional[dict] = None,
                 trainable: Union[bool, str] = False) -> None:
        dual = read_dual(pretrained=pretrained, config=config)
        vision = dual.config.vision_config
        super().__init__(
            encoder=part(dual, 'vision_model'), projection=part(dual, 'visual_projection'),
            logit_scale=dual.logit_scale, source=pretrained, width=vision.hidden_size,
            embed_dim=dual.config.projection_dim, prompt_start=1, trainable=trainable)
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
        trainable: What of the tower's own weights trains, see :class:`Tower`.

    Attributes:
        tokenizer: The ``transformers`` tokenizer.
        context_length (int): Most tokens of a caption, start and end included.

    Raises:
        WeightsError: The weights or the tokenizer cannot be had or do not fit.
    """

    def __init__(self, *, pretrained: Optional[str] = None, config: Optional[dict] = None,
                 tokenizer: Optional[str] = None, trainable: Union[bool, str] = False) -> None:
        dual = read_dual(pretrained=pretrained, config=config)
        text = dual.config.text_config
        super().__init__(
            encoder=part(dual, 'text_model'), projection=part(dual, 'text_projection'),
            logit_scale=dual.logit_scale, source=pretrained, width=text.hidden_size,
            embed_dim=dual.config.projection_dim, prompt_start=1, trainable=trainable)
        self.context_length = text.max_position_embeddings
        self.tokenizer = _read_tokenizer(tokenizer or pretrained)
        if len(self.tokenizer) > text.vocab_size:
            raise WeightsError(f'the tokenizer of {tokenizer or pretrained!r} has {len(self.tokenizer)} tokens, the '
                               f'text tower knows {text.vocab_size}: take both from one model.')

    @property
    def token_embedding(self) -> nn.Module:
        """Maps token ids ``(N, L)`` to the vectors ``(N, L, width)`` that the positions are added to."""
        return self.encoder.embeddings.token_embedding

    def forward(self, token_ids: Tensor, mask: Tensor, with_tokens: bool = False) -> Features:
        """Embeddings of captions.

        The pooled token is the first end token and attention is causal, so
        padding changes nothing and the encoder needs no mask.

        Args:
            token_ids: int64 ``(N, L)``, padded after the end token.
            mask: bool ``(N, L)``, False on padding.
            with_tokens: Whether to project every token, and not only the pooled one.

        Returns:
            ``pooled`` ``(N, D)``, and with tokens ``tokens`` ``(N, L, D)`` and ``mask``.
        """
        output = self.encoder(input_ids=token_ids)
        pooled = self.projection(output.pooler_output)
        if not with_tokens:
            return Features(pooled)
        return Features(pooled, self.projection(output.last_hidden_state), mask)


def _read_tokenizer(source: Optional[str]):
    if source is None:
        raise WeightsError("a text tower from scratch needs tokenizer='...': a model folder or name to take it from.")
    try:
        return AutoTokenizer.from_pretrained(locate(source))
    except (OSError, ValueError) as error:
        raise WeightsError(f'tokenizer={source!r}: no tokenizer files there (tokenizer.json, or vocab.json and '
                           'merges.txt); copy them from the original model.') from error
