"""The two kinds of prompts that STOP adds to DGL's (Liu et al., CVPR 2025), made from a clip's pixels and patches."""
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: What is made by the networks here is added in this proportion, as in the public code.
_SHARE = 0.05


class SameConv3d(nn.Conv3d):
    """A convolution over time and two more axes that keeps their lengths, and sees and leaves nothing of padding."""

    def __init__(self, dim_in: int, dim_out: int, kernel: tuple[int, int, int]) -> None:
        super().__init__(dim_in, dim_out, kernel, padding=(kernel[0] // 2, kernel[1] // 2, kernel[2] // 2))

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """``(B, C, T, H, W)`` -> ``(B, C', T, H, W)``; ``valid`` is float ``(B, T)``, 0 on padding frames."""
        left = super().forward(x)
        return left if valid is None else left * valid[:, None, :, None, None]


class PixelPrompts(nn.Module):
    """Adds to every pixel what a network of 3D convolutions makes of the clip, and to some patches of a frame twice.

    Those are the ones in which another convolution, which is never trained, is
    largest. What the public code averages for that is no patch but every g-th
    row and column, g being the patches of a side; so it is here.

    Args:
        grid: Patches of a side.
        chosen: Patches that count twice.
    """
    chooser_weight: Tensor
    chooser_bias: Tensor

    def __init__(self, *, grid: int, chosen: int) -> None:
        super().__init__()
        self.grid = grid
        self.chosen = chosen
        kernel, widths = (3, 11, 11), (3, 9, 9, 9, 16)
        self.convolutions = nn.ModuleList(SameConv3d(*pair, kernel) for pair in pairwise(widths))
        self.activations = nn.ModuleList([nn.Identity(), nn.PReLU(), nn.PReLU(), nn.Dropout()])
        self.to_pixels = nn.Sequential(nn.Linear(16, 16), nn.PReLU(), nn.Linear(16, 3), nn.Dropout(), nn.Dropout())
        for name, drawn in nn.Conv3d(3, 1, (5, 11, 11)).named_parameters():
            self.register_buffer(f'chooser_{name}', drawn.detach())

    def forward(self, pixels: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        """Prompted pixels ``(B, T, 3, S, S)``, and which patches were chosen, bool ``(B, T, grid, grid)``."""
        x = pixels.transpose(1, 2)  # (B, 3, T, S, S)
        x = x if valid is None else x * valid[:, None, :, None, None]
        chosen = self._choose(x)
        for convolution, activation in zip(self.convolutions, self.activations):
            x = activation(convolution(x, valid))
        prompts = self.to_pixels(x.permute(0, 2, 3, 4, 1)).movedim(-1, 2)  # (B, T, 3, S, S)
        size = pixels.shape[-1] // self.grid
        twice = 1 + chosen.repeat(1, 1, size, size)[:, :, None]
        return pixels + _SHARE * prompts * twice, chosen

    @torch.no_grad()
    def _choose(self, x: Tensor) -> Tensor:
        where = F.conv3d(x, self.chooser_weight, self.chooser_bias, padding=(2, 5, 5))[:, 0]  # (B, T, S, S)
        where = where.unflatten(-1, (-1, self.grid)).unflatten(2, (-1, self.grid)).mean(dim=(2, 4))
        bar = where.flatten(2).sort(dim=2, descending=True).values[:, :, self.chosen]
        return where > bar[..., None, None]


class BetweenFrames(nn.Module):
    """Prompts of each frame from the patches of all: attention, convolutions, and a weight for each frame.

    The weight is from 0 to 1, the least and the greatest of the clip. In the
    public code these are the least and the greatest of a whole batch, in which the
    embedding of a clip depends on the others; one clip at a time it is the same.

    Args:
        width: Channels.
        num_heads: Of the attention.
        patches: Of a frame.
        count: Prompts of a frame.
    """

    def __init__(self, *, width: int, num_heads: int, patches: int, count: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, num_heads, batch_first=True)
        self.convolutions = nn.ModuleList(SameConv3d(*pair, (3, 15, 25)) for pair in ((1, 9), (9, 1)))
        self.activation = nn.PReLU()
        self.to_prompts = nn.Sequential(nn.Linear(patches, 16), nn.PReLU(), nn.Linear(16, count))
        self.weigh = SameConv3d(1, 1, (5, 11, 11))

    def forward(self, patches: Tensor, chosen: Tensor, valid: Tensor | None) -> Tensor:
        """Prompts ``(B, T, count, width)``.

        Args:
            patches: ``(B, T, P, width)``.
            chosen: bool ``(B, T, P)``, the patches that count twice in the weight of their frame.
            valid: float ``(B, T)``, 0 on padding frames.
        """
        count = patches.shape[2]
        hidden = None if valid is None else (valid == 0).repeat_interleave(count, dim=1)
        clips = patches.flatten(1, 2)
        x = self.attention(clips, clips, clips, key_padding_mask=hidden, need_weights=False)[0]
        x = x.unflatten(1, (-1, count))[:, None]  # (B, 1, T, P, width)
        x = x if valid is None else x * valid[:, None, :, None, None]
        weights = self._weights(x, chosen, valid)
        first, second = self.convolutions
        x = second(self.activation(first(x, valid)), valid)[:, 0]
        prompts = self.to_prompts(x.transpose(2, 3)).transpose(2, 3)
        return _SHARE * prompts * (1 + weights)[..., None, None]

    def _weights(self, x: Tensor, chosen: Tensor, valid: Tensor | None) -> Tensor:
        weights = (self.weigh(x)[:, 0] * (1 + chosen[..., None])).mean(dim=(2, 3)).float()  # (B, T)
        low, high = weights, weights
        if valid is not None:
            low, high = (weights.masked_fill(valid == 0, end) for end in (float('inf'), float('-inf')))
        low, high = low.amin(dim=1, keepdim=True), high.amax(dim=1, keepdim=True)
        return (weights - low) / (high - low).clamp_min(1e-12)
