"""The transformer that CLIP4Clip puts behind the towers: CLIP's own layers."""
from torch import nn
from transformers.activations import ACT2FN

from mmcma.utils.errors import argument_error

_HEAD_DIM = 64


def clip_layers(embed_dim: int, num_layers: int) -> nn.TransformerEncoder:
    """Pre-norm layers with quick GELU and without dropout, ``(B, L, D)`` -> ``(B, L, D)``.

    Heads are 64 wide, as in CLIP; a width that 64 does not divide has one head.
    Each layer has ``12 D^2 + 13 D`` parameters.
    """
    layer = nn.TransformerEncoderLayer(
        embed_dim, nhead=embed_dim // _HEAD_DIM if embed_dim % _HEAD_DIM == 0 else 1, dim_feedforward=4 * embed_dim,
        dropout=0.0, activation=ACT2FN['quick_gelu'], batch_first=True, norm_first=True)
    return nn.TransformerEncoder(layer, num_layers, enable_nested_tensor=False)


def require_positions(part: object, num_frames: int, max_frames: int) -> None:
    """Checks that every frame has a position embedding.

    Raises:
        ConfigError: There are more frames than positions.
    """
    if num_frames > max_frames:
        raise argument_error(part, 'max_frames', max_frames, f'is less than the {num_frames} frames of the '
                          'clips; raise it, or lower num_frames of LoadVideoFrames.')
