"""VoP's prompts that know of the clip: of a frame's position, of its context, of a layer's function."""
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from mmcma.models.backbones.sites import PreNormLayer
from mmcma.models.backbones.tower import VisionTower
from mmcma.models.necks.argument_checks import check_counts, check_length
from mmcma.models.necks.clip_attention import clip_mask, require_parts
from mmcma.models.necks.prompts import Prompts, prompt_vision
from mmcma.models.necks.vop import VoP
from mmcma.registry import MODELS
from mmcma.utils.errors import argument_error


class ContextPrompts(nn.Module):
    """Tokens of every frame, made of the class tokens of all frames of its clip, which LSTMs read in both orders.

    Args:
        count: Tokens of a frame.
        width: Channels of the hidden states and of each LSTM.
    """

    def __init__(self, *, count: int, width: int) -> None:
        super().__init__()
        self.count = count
        self.forwards, self.backwards = (nn.LSTM(width, width, batch_first=True) for _ in range(2))
        self.to_tokens = nn.Linear(2 * width, count * width)

    def forward(self, classes: Tensor, frame_mask: Tensor | None) -> Tensor:
        """Tokens ``(B, T, count, width)`` from class tokens ``(B, T, width)``; ``frame_mask`` is False on padding."""
        length = classes.shape[1]
        place = torch.arange(length, device=classes.device).expand(classes.shape[:2])
        valid = length if frame_mask is None else frame_mask.sum(dim=1, keepdim=True)
        turned = ((valid - 1 - place) % length)[..., None].expand_as(classes)  # from a clip's last frame to its first
        ahead, _ = self.forwards(classes)
        back, _ = self.backwards(classes.gather(1, turned))
        return self.to_tokens(torch.cat([ahead, back.gather(1, turned)], dim=-1)).unflatten(-1, (self.count, -1))


@MODELS.register_module()
class VideoVoP(VoP):
    """VoP with prompts of the frame's position or context, and layers whose function is the clip's.

    These are the paper's VoP-P, VoP-C and VoP-F, for which there is no public
    code. They follow what the paper says of them in short and were not compared
    with its text in detail; sizes fit the counts of parameters that are known.

    In a layer ``num_frame_prompts`` of a frame's ``num_prompts`` tokens are its
    own. With ``frame_prompts='position'`` they
    are learned for each position in the clip (VoP-P); with ``'context'`` they
    are made of all frames' class tokens as they enter the layer, by one
    :class:`ContextPrompts` for all layers (VoP-C). In the last ``clip_layers``
    the frames of a clip are one sequence with ``num_prompts`` tokens of the
    clip in place of the frames' (VoP-F).

    Args:
        frame_prompts: ``'position'``, ``'context'``, or None where frames have the same tokens.
        num_frame_prompts: How many of ``num_prompts`` they are.
        max_frames: Most frames of a clip, which ``'position'`` needs.
        clip_layers: Number of layers, 0 for none.
        options: Those of :class:`VoP`.

    Raises:
        ConfigError: An argument is out of range or, in :meth:`attach`, does not fit the towers.
    """
    needs_several_frames = True

    def __init__(self, *, frame_prompts: Literal['position', 'context'] | None = 'context',
                 num_frame_prompts: int = 4, max_frames: int | None = None, clip_layers: int = 0,
                 **options) -> None:
        super().__init__(**options)
        check_counts(self, num_frame_prompts=num_frame_prompts)
        if frame_prompts == 'position' and (max_frames is None or max_frames < 1):
            raise argument_error(self, 'max_frames', max_frames, "must be the most frames of a clip with "
                                 "frame_prompts='position'.")
        if frame_prompts is not None and num_frame_prompts > self.num_prompts:
            raise argument_error(self, 'num_frame_prompts', num_frame_prompts,
                                 f'is more than num_prompts={self.num_prompts}, which they are a part of.')
        if frame_prompts is None and clip_layers == 0:
            raise argument_error(self, 'frame_prompts', None, 'with clip_layers=0 relates no frames: take VoP, or '
                                 "'position', 'context' or clip_layers.")
        self.frame_prompts = frame_prompts
        self.num_frame_prompts = num_frame_prompts if frame_prompts else 0
        self.max_frames = max_frames or 0
        self.clip_layers = clip_layers

    def prompt_clips(self, tower: VisionTower, depth: int) -> None:
        """Hooks the vision tower's tokens into its ``depth`` layers.

        Raises:
            ConfigError: The tower has fewer than ``clip_layers``, no class token, or does not show its layers' parts.
        """
        if not 0 <= self.clip_layers <= depth:
            raise argument_error(self, 'clip_layers', self.clip_layers, f'must be from 0 to {depth}, the layers of the '
                                 f'vision tower {tower.source!r}.')
        layers = require_parts(self, tower)
        self.watch_clips(tower)
        frame_layers = depth - self.clip_layers
        if frame_layers:
            self._prompt_frames(tower, frame_layers)
        if self.clip_layers:
            self.clip = Prompts(depth=self.clip_layers, count=self.num_prompts, width=tower.width)
        for index in range(frame_layers, depth):
            self.rewrite_around(tower.blocks[index], partial(self._run_clips, index - frame_layers, layers[index]),
                                f'vision layer {index}')

    def _prompt_frames(self, tower: VisionTower, depth: int) -> None:
        self.vision = Prompts(depth=depth, count=self.num_prompts - self.num_frame_prompts, width=tower.width)
        if self.frame_prompts == 'position':
            self.frames = Prompts(depth=depth, count=self.max_frames * self.num_frame_prompts, width=tower.width)
        elif self.frame_prompts == 'context':
            self.context = ContextPrompts(count=self.num_frame_prompts, width=tower.width)
        prompt_vision(self, tower, self._frame_tokens, depth=depth, count=self.num_prompts, until=depth)

    def _frame_tokens(self, layer: int, hidden: Tensor) -> Tensor:
        """The layer's tokens ``(B * T, P, width)`` of the frames' hidden states ``(B * T, L, width)``."""
        shared = self.vision(layer).expand(len(hidden), -1, -1)
        if self.frame_prompts is None:
            return shared
        if self.frame_prompts == 'context':
            own = self.context(hidden[:, 0].unflatten(0, (-1, self.num_frames)), self.frame_mask).flatten(0, 1)
        else:
            own = self._of_positions(layer).repeat(len(hidden) // self.num_frames, 1, 1)
        return torch.cat([shared, own.to(shared.dtype)], dim=1)

    def _of_positions(self, layer: int) -> Tensor:
        """Tokens ``(T, num_frame_prompts, width)`` of the first T positions."""
        check_length('VideoVoP.max_frames', self.max_frames, self.num_frames, 'clips have {} frames')
        return self.frames(layer).unflatten(0, (self.max_frames, -1))[:self.num_frames]

    def _run_clips(self, index: int, layer: PreNormLayer, call, hidden: Tensor, *args, **kwargs) -> Tensor:
        """The layer on ``(B, P + T * L, width)`` in the place of ``(B * T, L, width)``; padding frames are not seen."""
        clips = hidden.unflatten(0, (-1, self.num_frames)).flatten(1, 2)
        tokens = self.clip(index).to(hidden.dtype).expand(len(clips), -1, -1)
        seen = clip_mask(self.frame_mask, hidden.shape[1], before=self.num_prompts)
        added = None if seen is None else hidden.new_zeros(seen.shape).masked_fill(~seen, float('-inf'))
        x = torch.cat([tokens, clips], dim=1)
        x = x + layer.attn(hidden_states=layer.attn_norm(x), attention_mask=added)[0]
        x = x + layer.ffn(layer.ffn_norm(x))
        return x[:, self.num_prompts:].unflatten(1, (self.num_frames, -1)).flatten(0, 1)
