"""How a training batch is encoded: a few items at a time, and captions with those of single frames."""
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mmcma.models.necks.base import Neck
from mmcma.structures import AnyFeatures, Features


def encode_in_parts(size: int | None, encode: Callable[..., AnyFeatures], *rows: Tensor) -> AnyFeatures:
    """``encode(*rows)``; with a size that many rows at a time, whose activations the backward pass computes again."""
    if size is None:
        return encode(*rows)
    parts = zip(*(x.split(size) for x in rows))
    return Features.join([checkpoint(encode, *part, use_reentrant=False) for part in parts])


def encode_described(neck: Neck, encode: Callable[[Tensor, Tensor], Features], token_ids: Tensor, token_mask: Tensor,
                     frame_mask: Tensor) -> Features:
    """Features of B captions with ``extra['frame_captions']``, ``(B, T, D)`` of those of their items' frames.

    Args:
        neck: What tells the one from the other while they are encoded.
        encode: Features of captions from ids and mask ``(N, L)``.
        token_ids: ``(B, 1 + T, L)``, each caption followed by those of the frames.
        token_mask: bool, of the same shape; where a frame is padding, its caption is, too.
        frame_mask: bool ``(B, T)``.
    """
    rows = token_ids.shape[1]
    token_mask = torch.cat([token_mask[:, :1], token_mask[:, 1:] & frame_mask[:, :, None]], dim=1)
    neck.describe(rows - 1)
    try:
        text = encode(token_ids.flatten(0, 1), token_mask.flatten(0, 1))
    finally:
        neck.describe(0)
    of_frames = text.pooled.unflatten(0, (-1, rows))[:, 1:]
    return text.rows(slice(None, None, rows))._replace(extra=dict(frame_captions=of_frames))
