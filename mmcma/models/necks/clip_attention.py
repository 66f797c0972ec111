"""Attention over all frames of a clip, in towers whose layers see each frame for itself."""
import torch
from torch import Tensor
from torch.nn import functional as F

from mmcma.models.backbones.sites import PreNormLayer
from mmcma.models.backbones.tower import VisionTower
from mmcma.models.necks.base import Neck
from mmcma.utils.errors import ConfigError


def heads_of(layer: PreNormLayer, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values ``(N, H, L, dim / H)`` of normalised hidden states ``(N, L, dim)``."""
    query, key, value = (project(hidden).unflatten(-1, (layer.num_heads, -1)).transpose(1, 2)
                         for project in (layer.query, layer.key, layer.value))
    return query, key, value


def attend(layer: PreNormLayer, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """What attention of these heads leaves, ``(N, L, dim)``, before the layer's last map; ``mask`` as of PyTorch."""
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2).flatten(2)


def in_clips(heads: Tensor, num_frames: int) -> Tensor:
    """Heads of frames ``(B * T, H, L, d)`` as those of clips ``(B, H, T * L, d)``."""
    return heads.unflatten(0, (-1, num_frames)).transpose(1, 2).flatten(2, 3)


def clip_mask(frame_mask: Tensor | None, length: int, before: int = 0) -> Tensor | None:
    """Which keys may be seen, bool ``(B, 1, 1, before + T * length)``: not the ``length`` ones of a padding frame.

    Args:
        frame_mask: bool ``(B, T)``, False on padding frames; None where there are none.
        length: Keys of a frame.
        before: Keys of the clip that stand before the frames', all of which may be seen.
    """
    if frame_mask is None:
        return None
    keys = frame_mask.repeat_interleave(length, dim=1)
    return torch.cat([keys.new_ones(len(keys), before), keys], dim=1)[:, None, None]


def require_parts(neck: Neck, tower: VisionTower) -> list[PreNormLayer]:
    """The parts of the tower's layers, for what relates the frames of a clip in them.

    Raises:
        ConfigError: The tower does not show them, or has no class token.
    """
    if not tower.pre_norm_layers or not tower.prompt_start:
        raise ConfigError(f'{type(neck).__name__} relates the class tokens of frames within the layers, and the vision '
                          f'tower {tower.source!r} shows no class token or no parts of its layers: take a CLIP, or '
                          'STAdapter, which works between layers.')
    return tower.pre_norm_layers
