"""ST-Adapter (Pan et al., NeurIPS 2022; arXiv 2206.13559)."""
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from mmcma.models.backbones.tower import TextTower, VisionTower
from mmcma.models.necks.argument_checks import check_counts
from mmcma.models.necks.base import Neck
from mmcma.models.necks.layer_choice import chosen_layers
from mmcma.registry import MODELS
from mmcma.utils.errors import argument_error


class SpatioTemporalAdapter(nn.Module):
    """``x + DWConv(x Wd + bd) Wu + bu``, with a depth-wise convolution over time that is zero at the start.

    The paper's 3 x 1 x 1 kernel (time, height, width) mixes no places within a
    frame, so that it is a convolution in one dimension for each place.
    """

    def __init__(self, *, dim: int, bottleneck_dim: int, kernel_size: int) -> None:
        super().__init__()
        self.down = nn.Linear(dim, bottleneck_dim)
        self.over_time = nn.Conv1d(bottleneck_dim, bottleneck_dim, kernel_size, padding=kernel_size // 2,
                                   groups=bottleneck_dim)
        self.up = nn.Linear(bottleneck_dim, dim)
        for zero in (self.down.bias, *self.over_time.parameters(), self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, patches: Tensor, num_frames: int, frame_mask: Tensor | None) -> Tensor:
        """Adapted patches ``(B * T, P, dim)`` of clips of T frames; ``frame_mask`` ``(B, T)`` is False on padding."""
        middle = self.down(patches).unflatten(0, (-1, num_frames))  # (B, T, P, r)
        if frame_mask is not None:
            middle = middle * frame_mask[:, :, None, None]
        mixed = self.over_time(middle.permute(0, 2, 3, 1).flatten(0, 1))  # (B * P, r, T)
        mixed = mixed.unflatten(0, (-1, patches.shape[1])).permute(0, 3, 1, 2)  # (B, T, P, r)
        return patches + self.up(mixed.flatten(0, 1))


@MODELS.register_module()
class STAdapter(Neck):
    """Bottleneck adapters that look along time, before the attention of every vision layer.

    The class token passes by unchanged, as in the released code, and sees other
    frames through the patches; where a tower does not say where its patches
    begin (no ``prompt_start``), all tokens count as patches. The paper adapts a vision model; here too the
    text tower stays as it is. Beyond the ends of a clip, where a short one has
    padding frames too, the convolution sees zeros.

    Args:
        bottleneck_dim: Width of the bottleneck, at least 1.
        kernel_size: Frames that the convolution spans, an odd number from 3 up.
        layers: In which vision layers, -1 being the last; None for all.

    Raises:
        ConfigError: An argument is out of range.
    """
    needs_several_frames = True

    def __init__(self, *, bottleneck_dim: int = 384, kernel_size: int = 3,
                 layers: Sequence[int] | None = None) -> None:
        super().__init__()
        check_counts(self, bottleneck_dim=bottleneck_dim)
        if kernel_size < 3 or kernel_size % 2 == 0:
            raise argument_error(self, 'kernel_size', kernel_size, 'must be an odd number of frames, 3 or more.')
        self.bottleneck_dim = bottleneck_dim
        self.kernel_size = kernel_size
        self.layers = layers
        self.adapters = nn.ModuleList()

    def attach(self, *, vision: VisionTower, text: TextTower) -> None:
        """Builds one adapter for each vision layer.

        Raises:
            ConfigError: ``layers`` does not fit the vision tower.
        """
        self.watch_clips(vision)
        for layer in chosen_layers(self, vision, 'vision', self.layers):
            adapter = SpatioTemporalAdapter(dim=vision.width, bottleneck_dim=self.bottleneck_dim,
                                            kernel_size=self.kernel_size)
            self.rewrite_input(vision.blocks[layer], partial(self._adapt, adapter, vision.prompt_start or 0),
                               f'vision layer {layer}')
            self.adapters.append(adapter)

    def _adapt(self, adapter: SpatioTemporalAdapter, start: int, hidden: Tensor) -> Tensor:
        """Hidden states ``(B * T, L, dim)``, whose first ``start`` tokens are no patches."""
        adapted = adapter(hidden[:, start:], self.num_frames, self.frame_mask)
        return torch.cat([hidden[:, :start], adapted], dim=1)
