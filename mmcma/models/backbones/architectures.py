"""Where the dual encoders of ``transformers`` keep what a tower publishes."""
from dataclasses import dataclass
from typing import NamedTuple

from mmcma.models.backbones.sites import Kind
from mmcma.utils.errors import WeightsError

#: One residual branch of a layer: its kind; the module that ends it; the one that begins it, where that is another.
Branch = tuple[Kind, str, str | None]

_PRE_NORM: tuple[Branch, ...] = (('attn', 'self_attn', None), ('ffn', 'mlp', None))
# BERT adds the residual and normalises the sum inside its `output` modules, so a branch ends at the `dense` in them.
_BERT: tuple[Branch, ...] = (('attn', 'attention.output.dense', 'attention.self'),
                             ('ffn', 'output.dense', 'intermediate'))
#: Field of a :class:`~mmcma.models.backbones.sites.PreNormLayer` -> its path within a layer of CLIP and SigLIP.
_CLIP_LAYER = (('attn_norm', 'layer_norm1'), ('attn', 'self_attn'), ('ffn_norm', 'layer_norm2'), ('ffn', 'mlp'),
               ('query', 'self_attn.q_proj'), ('key', 'self_attn.k_proj'), ('value', 'self_attn.v_proj'),
               ('out', 'self_attn.out_proj'))


@dataclass(frozen=True, kw_only=True)
class Half:
    """One half of a dual encoder; paths are dotted names within its encoder, those of branches within a layer.

    Attributes:
        projection: Name in the dual encoder; None where the encoder's pooled output lies in the joint space.
        joint_width: Without a projection: field of the half's config that gives the joint space's width.
        prompt_start: Place in the sequence where learned tokens may be put in, after the class or start token if any.
        embeddings: What embeds the input.
        pre_norm: What normalises the embedded sequence before the first layer, if anything does.
        blocks: The list of layers.
        branches: The residual branches of a layer.
        layer_parts: The parts of a layer that normalises first; none of other layers.
    """
    projection: str | None = None
    joint_width: str = 'hidden_size'
    prompt_start: int = 1
    embeddings: str = 'embeddings'
    pre_norm: str | None = None
    blocks: str = 'encoder.layers'
    branches: tuple[Branch, ...] = _PRE_NORM
    layer_parts: tuple[tuple[str, str], ...] = _CLIP_LAYER


@dataclass(frozen=True, kw_only=True)
class TextHalf(Half):
    """The text half of a dual encoder.

    Attributes:
        token_embedding: The table of token vectors.
        positions: The table of learned positions.
        token_head: What takes a single token to the joint space, where that is not the projection.
        pools_first_token: Whether the first token is pooled, and not what the encoder itself pools.
        masked: Whether attention must be kept from padding; causal encoders that pool the end token need no mask.
        pads_to_limit: Whether the encoder was trained, without a mask, on captions padded to its full length.
        lower_case: Whether it was trained on lower-case captions, whatever its tokenizer says.
    """
    token_embedding: str = 'embeddings.token_embedding'
    positions: str = 'embeddings.position_embedding'
    token_head: str | None = None
    pools_first_token: bool = False
    masked: bool = False
    pads_to_limit: bool = False
    lower_case: bool = False


class Architecture(NamedTuple):
    """Both halves of a dual encoder."""
    vision: Half
    text: TextHalf


_CLIP = Architecture(Half(projection='visual_projection', pre_norm='pre_layrnorm'),
                     TextHalf(projection='text_projection'))

#: By ``model_type`` of the model's config. The fixed-resolution checkpoints of SigLIP 2 are of type ``siglip``.
ARCHITECTURES = {
    'clip': _CLIP,
    'metaclip_2': _CLIP,
    'chinese_clip': Architecture(
        _CLIP.vision,
        TextHalf(projection='text_projection', blocks='encoder.layer', branches=_BERT, layer_parts=(),
                 masked=True, token_embedding='embeddings.word_embeddings',
                 positions='embeddings.position_embeddings', pools_first_token=True)),
    'siglip': Architecture(
        Half(prompt_start=0),
        TextHalf(joint_width='projection_size', prompt_start=0, token_head='head', pads_to_limit=True,
                 lower_case=True)),
}


def architecture(model_type: str, named: str | None = None) -> Architecture:
    """The architecture of a ``model_type``.

    Args:
        model_type: ``model_type`` of a model's config.json.
        named: Which model that is, for the error.

    Raises:
        WeightsError: The type is none that the towers know.
    """
    if model_type in ARCHITECTURES:
        return ARCHITECTURES[model_type]
    where = f'pretrained={named!r}' if named else 'config'
    if model_type == 'siglip2':
        raise WeightsError(f'{where}: SigLIP 2 NaFlex takes images as lists of patches, which the towers do not '
                           "make; use a checkpoint of fixed resolution, such as 'google/siglip2-base-patch16-224'.")
    raise WeightsError(f'{where}: model_type={model_type!r} is no dual encoder that the towers know; they take '
                       f'{sorted(ARCHITECTURES)}.')
