"""The two towers of a ``transformers`` dual encoder, each behind the interface that necks and heads use."""

from tokenizers import normalizers
from torch import Tensor, nn
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from mmcma.models.backbones.architectures import Half, TextHalf, architecture
from mmcma.models.backbones.cpu_attention import SDPA
from mmcma.models.backbones.pretrained import DualEncoder, locate, read_dual, read_normalisation
from mmcma.models.backbones.quick_gelu import replace_quick_gelu
from mmcma.models.backbones.sites import PreNormLayer, Site
from mmcma.models.backbones.tower import TextTower, Tower, VisionTower
from mmcma.registry import MODELS
from mmcma.structures import Features
from mmcma.utils.errors import ConfigError, WeightsError


class HFTower(Tower):
    """A half of a dual encoder: its layers and sites.

    Args:
        dual: The ``transformers`` model.
        half: Where this half keeps what the tower publishes.
        encoder: This half's encoder.
        source: Name of the pretrained model; None from scratch.
        trainable: Which of the tower's own weights train, see :class:`Tower`.
        attn_implementation: How ``transformers`` computes attention; None for its own choice, and in a bf16 training
            on a CPU what is faster there, see :mod:`~mmcma.models.backbones.cpu_attention`.

    Attributes:
        logit_scale (float): Log of the similarity's scale that the model was trained with.
        logit_bias (float | None): What a model trained with the sigmoid loss
            adds to the scaled similarity.
    """

    def __init__(self, *, dual: DualEncoder, half: Half, encoder: PreTrainedModel, source: str | None,
                 trainable: bool | str, attn_implementation: str | None) -> None:
        projection = getattr(dual, half.projection) if half.projection else nn.Identity()
        super().__init__(
            source=source, width=encoder.config.hidden_size, prompt_start=half.prompt_start, trainable=trainable,
            embed_dim=projection.out_features if isinstance(projection, nn.Linear) else getattr(
                encoder.config, half.joint_width))
        self.half = half
        self.encoder = encoder
        replace_quick_gelu(encoder)
        if attn_implementation is None and encoder.config._attn_implementation == 'sdpa':
            attn_implementation = SDPA
        if attn_implementation is not None:
            self._attend_by(attn_implementation)
        self.projection = projection
        self.logit_scale = dual.logit_scale.item()
        self.logit_bias = dual.logit_bias.item() if hasattr(dual, 'logit_bias') else None

    def _attend_by(self, implementation: str) -> None:
        try:
            self.encoder.set_attn_implementation(implementation)
        except (ImportError, ValueError) as error:
            raise ConfigError(f'attn_implementation={implementation!r} cannot be had: {error} '
                              "'sdpa' and 'eager' run everywhere.") from error

    @property
    def blocks(self) -> list[nn.Module]:
        """The transformer layers, input first."""
        return list(self.encoder.get_submodule(self.half.blocks).children())

    @property
    def stem(self) -> list[nn.Module]:
        """The embeddings, and in a vision tower of CLIP the LayerNorm before the first layer."""
        embeddings = self.encoder.get_submodule(self.half.embeddings)
        return [embeddings] if self.pre_norm is None else [embeddings, self.pre_norm]

    @property
    def pre_norm(self) -> nn.Module | None:
        """The LayerNorm between embeddings and layers that CLIP's vision towers have."""
        return None if self.half.pre_norm is None else self.encoder.get_submodule(self.half.pre_norm)

    @property
    def pre_norm_layers(self) -> list[PreNormLayer]:
        """The parts of every layer, input first; empty for BERT's, and where attention takes no scores to add."""
        if not self.half.layer_parts or self.encoder.config._attn_implementation not in (SDPA, 'sdpa', 'eager'):
            return []
        return [PreNormLayer(**{name: block.get_submodule(path) for name, path in self.half.layer_parts},
                             num_heads=self.encoder.config.num_attention_heads) for block in self.blocks]

    @property
    def sites(self) -> list[Site]:
        """Attention and feed-forward branch of every layer, input first."""
        return [Site(layer, kind, block.get_submodule(end), self.width,
                     None if entry is None else block.get_submodule(entry))
                for layer, block in enumerate(self.blocks) for kind, end, entry in self.half.branches]


@MODELS.register_module()
class HFVisionTower(VisionTower, HFTower):
    """Vision tower of a ``transformers`` dual encoder: CLIP, MetaCLIP 2, Chinese-CLIP, SigLIP, SigLIP 2.

    Args:
        pretrained: Name on the Hugging Face Hub, a local model folder, or the
            bundled ``'mmcma/clip-tiny-glyphs'``.
        config: Instead of ``pretrained``: a model from scratch, see
            :func:`~mmcma.models.backbones.pretrained.read_dual`.
        trainable: Which of the tower's own weights train, see :class:`Tower`.
        attn_implementation: ``'sdpa'`` (as a rule transformers' own choice), ``'eager'``,
            ``'flash_attention_2'`` or another that transformers knows; None for its own choice, and in a bf16
            training on a CPU what is faster there.

    Raises:
        WeightsError: The weights cannot be had or do not fit.
    """

    def __init__(self, *, pretrained: str | None = None, config: dict | None = None,
                 trainable: bool | str = False, attn_implementation: str | None = None) -> None:
        dual = read_dual(pretrained=pretrained, config=config)
        super().__init__(dual=dual, half=architecture(dual.config.model_type).vision, encoder=dual.vision_model,
                         source=pretrained, trainable=trainable, attn_implementation=attn_implementation)
        self.image_size = dual.config.vision_config.image_size
        self.patches_per_side = self.image_size // dual.config.vision_config.patch_size
        self.image_mean, self.image_std = (
            read_normalisation(pretrained) if pretrained else (list(OPENAI_CLIP_MEAN), list(OPENAI_CLIP_STD)))

    def encode_images(self, pixels: Tensor) -> Tensor:
        """Embeddings ``(N, D)`` of normalised float pixels ``(N, 3, H, W)``."""
        return self.projection(self.encoder(pixel_values=pixels).pooler_output)


@MODELS.register_module()
class HFTextTower(TextTower, HFTower):
    """Text tower of a ``transformers`` dual encoder and its tokenizer; for which ones, see :class:`HFVisionTower`.

    Args:
        pretrained: Name on the Hugging Face Hub, a local model folder, or the
            bundled ``'mmcma/clip-tiny-glyphs'``.
        config: Instead of ``pretrained``: a model from scratch, see
            :func:`~mmcma.models.backbones.pretrained.read_dual`; then ``tokenizer`` is required.
        tokenizer: Model whose tokenizer is used; by default ``pretrained``.
        trainable: Which of the tower's own weights train, see :class:`Tower`.
        attn_implementation: How ``transformers`` computes attention, see :class:`HFVisionTower`.

    Raises:
        WeightsError: The weights or the tokenizer cannot be had or do not fit.
    """
    half: TextHalf

    def __init__(self, *, pretrained: str | None = None, config: dict | None = None,
                 tokenizer: str | None = None, trainable: bool | str = False,
                 attn_implementation: str | None = None) -> None:
        dual = read_dual(pretrained=pretrained, config=config)
        super().__init__(dual=dual, half=architecture(dual.config.model_type).text, encoder=dual.text_model,
                         source=pretrained, trainable=trainable, attn_implementation=attn_implementation)
        text = dual.config.text_config
        self.context_length = text.max_position_embeddings
        self.pads_to_limit = self.half.pads_to_limit
        self.tokenizer = _read_tokenizer(tokenizer or pretrained)
        if len(self.tokenizer) > text.vocab_size:
            raise WeightsError(f'the tokenizer of {tokenizer or pretrained!r} has {len(self.tokenizer)} tokens, the '
                               f'text tower knows {text.vocab_size}: take both from one model.')
        if self.half.lower_case and self.tokenizer.is_fast:
            _lower_case(self.tokenizer)

    @property
    def token_embedding(self) -> nn.Module:
        """Maps token ids ``(N, L)`` to the vectors ``(N, L, width)`` that the positions are added to."""
        return self.encoder.get_submodule(self.half.token_embedding)

    @property
    def positions(self) -> nn.Parameter:
        """Learned positions ``(context, width)`` that are added to the vectors of tokens."""
        return self.encoder.get_parameter(f'{self.half.positions}.weight')

    @property
    def pools_end_token(self) -> bool:
        """Whether the first end token is pooled and tokens see those before them alone, as in CLIP."""
        return not (self.half.masked or self.half.pads_to_limit or self.half.pools_first_token)

    def forward(self, token_ids: Tensor, mask: Tensor, with_tokens: bool = False) -> Features:
        """Embeddings of captions, with the arguments and the result of :meth:`TextTower.forward`.

        Where attention is causal and the first end token is pooled, padding
        changes nothing and the encoder gets no mask.
        """
        output = self.encoder(input_ids=token_ids, attention_mask=mask if self.half.masked else None)
        tokens = output.last_hidden_state  # (N, L, width)
        pooled = self.projection(tokens[:, 0] if self.half.pools_first_token else output.pooler_output)
        if not with_tokens:
            return Features(pooled)
        head = getattr(self.encoder, self.half.token_head) if self.half.token_head else self.projection
        return Features(pooled, head(tokens), mask)


def _read_tokenizer(source: str | None) -> PreTrainedTokenizerBase:
    if source is None:
        raise WeightsError("a text tower from scratch needs tokenizer='...': a model folder or name to take it from.")
    try:
        return AutoTokenizer.from_pretrained(locate(source), trust_remote_code=False)
    except ImportError as error:
        raise WeightsError(f'tokenizer={source!r} needs packages that are not installed; try `pip install '
                           'sentencepiece protobuf` (SigLIP).') from error
    except (OSError, ValueError) as error:
        raise WeightsError(f'tokenizer={source!r}: no tokenizer files there (tokenizer.json, or vocab.json and '
                           'merges.txt); copy them from the original model.') from error


def _lower_case(tokenizer: PreTrainedTokenizerBase) -> None:
    backend = tokenizer.backend_tokenizer
    backend.normalizer = normalizers.Sequence(
        [normalizers.Lowercase(), *([backend.normalizer] if backend.normalizer else [])])
