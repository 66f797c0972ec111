"""The two kinds of bottleneck of the MV-Adapter (Jin et al., CVPR 2024; arXiv 2301.07868)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.activations import ACT2FN

from mmcma.models.necks.argument_checks import check_length

_CALIBRATION_WIDTH = 16  # of the released code


class TransformerBottleneck(nn.Module):
    """Two projections and, between them, a narrow transformer layer: what the branches of both modalities have.

    Args:
        dim: Width of the tower.
        bottleneck_dim: Width r between the projections.
        num_heads: Heads of the narrow layer.
        positions: Longest sequence that the narrow layer gets.
        factor_dim: Length of the factor that ties this layer to the other modality's; None where it is not tied.
    """

    def __init__(self, *, dim: int, bottleneck_dim: int, num_heads: int, positions: int,
                 factor_dim: int | None) -> None:
        super().__init__()
        self.down = nn.Linear(dim, bottleneck_dim)
        self.up = nn.Linear(bottleneck_dim, dim)
        self.tie = None if factor_dim is None else nn.Linear(factor_dim, bottleneck_dim)
        self.position = nn.Parameter(0.01 * torch.randn(positions, bottleneck_dim))
        self.norm = nn.LayerNorm(bottleneck_dim)
        self.activation = ACT2FN['quick_gelu']
        self.mixer = nn.TransformerEncoderLayer(
            bottleneck_dim, num_heads, 4 * bottleneck_dim, dropout=0.0, activation=self.activation,
            batch_first=True, norm_first=True)
        nn.init.normal_(self.mixer.self_attn.in_proj_weight, std=dim ** -0.5)
        for weight in (self.mixer.self_attn.out_proj.weight, self.mixer.linear1.weight, self.mixer.linear2.weight):
            nn.init.normal_(weight, std=(2 * dim) ** -0.5)
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def narrow(self, hidden: Tensor, factor: Tensor | None) -> Tensor:
        """Projects ``(..., dim)`` to ``(..., r)``; the factor scales the output channels of the down-projection."""
        if self.tie is None:
            return self.down(hidden)
        return F.linear(hidden, self.down.weight * self.tie(factor)[:, None], self.down.bias)

    def mix(self, sequence: Tensor, mask: Tensor | None = None, padding: Tensor | None = None) -> Tensor:
        """Passes a sequence ``(N, S, r)`` through the narrow layer.

        ``mask`` ``(S, S)`` and ``padding`` ``(N, S)`` are True where attention must not look.
        """
        entered = self.norm(sequence + self.position[:sequence.shape[1]])
        return self.activation(self.mixer(entered, src_mask=mask, src_key_padding_mask=padding))


class VideoBranch(TransformerBottleneck):
    """Temporal adaptation: class tokens see each other, and calibrate the up-projection frame by frame."""

    def __init__(self, *, max_frames: int, bottleneck_dim: int, **kwargs) -> None:
        super().__init__(positions=1 + 2 * max_frames, bottleneck_dim=bottleneck_dim, **kwargs)
        self.max_frames = max_frames
        self.clip_token = nn.Parameter(bottleneck_dim ** -0.5 * torch.randn(bottleneck_dim))
        self.whole = nn.Linear(bottleneck_dim, bottleneck_dim)
        self.squeeze = nn.Linear(2 * bottleneck_dim, _CALIBRATION_WIDTH)
        self.calibrate = nn.Linear(_CALIBRATION_WIDTH, bottleneck_dim, bias=False)
        nn.init.zeros_(self.calibrate.weight)

    def forward(self, hidden: Tensor, num_frames: int, frame_mask: Tensor | None,
                factor: Tensor | None) -> Tensor:
        """The update of hidden states ``(B * T, 1 + P, dim)``, class token first, of the same shape."""
        check_length('MVAdapter.max_frames', self.max_frames, num_frames, 'the clips have {} frames')
        middle = self.activation(self.narrow(hidden, factor))  # (B * T, 1 + P, r)
        frames = middle[:, 0].unflatten(0, (-1, num_frames))  # (B, T, r)
        patches = middle[:, 1:].mean(dim=1).unflatten(0, (-1, num_frames))  # (B, T, r)
        clip = self.clip_token.to(frames).expand(len(frames), 1, -1)
        padding = None if frame_mask is None else F.pad(torch.cat([~frame_mask, ~frame_mask], dim=1), (1, 0))
        mixed = self.mix(torch.cat([clip, frames, patches], dim=1), padding=padding)  # (B, 1 + 2 T, r)
        clip, frames, patches = mixed.split([1, num_frames, num_frames], dim=1)
        context = torch.cat([frames + patches, self.whole(clip).expand_as(frames)], dim=-1)  # (B, T, 2 r)
        frames = frames * (1 + self.calibrate(F.relu(self.squeeze(context))))
        return self.up(torch.cat([frames.flatten(0, 1)[:, None], middle[:, 1:]], dim=1))


class TextBranch(TransformerBottleneck):
    """Adaptation of words, whose narrow layer is causal as CLIP's text tower is."""

    def __init__(self, *, max_words: int, dim: int, **kwargs) -> None:
        super().__init__(positions=max_words, dim=dim, **kwargs)
        self.max_words = max_words
        nn.init.normal_(self.down.weight, std=(2 * dim) ** -0.5)

    def forward(self, hidden: Tensor, factor: Tensor | None) -> Tensor:
        """The update of hidden states ``(N, L, dim)``, of the same shape."""
        length = hidden.shape[1]
        check_length('MVAdapter.max_words', self.max_words, length, 'captions have {} tokens')
        mask = torch.ones(length, length, dtype=torch.bool, device=hidden.device).triu(1)
        return self.up(self.mix(self.narrow(hidden, factor), mask))
