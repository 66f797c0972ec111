"""Prompt Switch (Deng et al., ICCV 2023; arXiv 2308.07648)."""

import torch
from torch import Tensor, nn

from mmcma.models.backbones.tower import TextTower, VisionTower
from mmcma.models.necks.argument_checks import check_counts
from mmcma.models.necks.base import Neck
from mmcma.models.necks.clip_attention import require_parts
from mmcma.models.necks.prompts import prompted_layers
from mmcma.registry import MODELS
from mmcma.utils.errors import ConfigError


@MODELS.register_module()
class PromptSwitch(Neck):
    """A cube of prompts, P for each of P frames, that is transposed before the attention of every vision layer.

    So the p-th prompt of frame t works in frame p, and what it has read there is back in frame t after the attention.
    After the last layer the class tokens attend to all prompts of their clip. Clips longer than P frames are
    cut into pieces of P, which meet in that last attention. As in the public code
    (https://github.com/bladewaltz1/PromptSwitch), which trains the whole CLIP too: its configs set ``trainable=True``.
    The code's second loss, a caption that a decoder writes from the frames, is not here.

    Args:
        num_prompts: P; clips must have a multiple of P frames.

    Raises:
        ConfigError: ``num_prompts`` is below 2 or, in :meth:`attach`, a tower does not show its layers' parts.
    """
    needs_several_frames = True
    frames_are_multiple_of = 'num_prompts'

    def __init__(self, *, num_prompts: int = 6) -> None:
        super().__init__()
        check_counts(self, num_prompts=num_prompts)
        self.num_prompts = num_prompts

    def attach(self, *, vision: VisionTower, text: TextTower) -> None:
        """Builds the prompts and the last attention, and hooks them into the vision tower."""
        prompted_layers(self, vision, 'vision', None)
        layers = require_parts(self, vision)
        self.watch_clips(vision)
        count, width, blocks = self.num_prompts, vision.width, vision.blocks
        self.prompts = nn.Parameter(torch.empty(count, count, width))
        nn.init.normal_(self.prompts, std=0.02 * width ** -0.5)
        self.pool = nn.MultiheadAttention(width, layers[0].num_heads, batch_first=True)
        for zero in self.pool.out_proj.parameters():
            nn.init.zeros_(zero)
        self.rewrite_input(blocks[0], self._enter, 'vision layer 0')
        for index, layer in enumerate(layers):
            self.rewrite_output(layer.attn_norm, self._switch, f'vision layer {index} norm')
        self.rewrite_output(blocks[-1], self._leave, f'vision layer {len(blocks) - 1}')

    def decays(self, name: str, parameter: nn.Parameter) -> bool:
        """All, as in the public code: biases and prompts too."""
        return True

    def _enter(self, hidden: Tensor) -> Tensor:
        """``(B * T, L, width)`` with P prompts behind the class token."""
        if self.num_frames % self.num_prompts:
            raise ConfigError(f'PromptSwitch.num_prompts={self.num_prompts} does not divide the {self.num_frames} '
                              'frames of a clip: change it, or num_frames of the pipeline.')
        prompts = self.prompts.to(hidden.dtype).repeat(len(hidden) // self.num_prompts, 1, 1)
        return torch.cat([hidden[:, :1], prompts, hidden[:, 1:]], dim=1)

    def _switch(self, hidden: Tensor) -> Tensor:
        """The same with the prompts of each P frames transposed."""
        prompts = hidden[:, 1:1 + self.num_prompts].unflatten(0, (-1, self.num_prompts)).transpose(1, 2).flatten(0, 1)
        return torch.cat([hidden[:, :1], prompts, hidden[:, 1 + self.num_prompts:]], dim=1)

    def _leave(self, hidden: Tensor) -> Tensor:
        """``(B * T, 1 + P + N, width)`` -> ``(B * T, 1 + N, width)``, with class tokens that saw the clip's prompts."""
        end = 1 + self.num_prompts
        classes, prompts = (part.unflatten(0, (-1, self.num_frames)) for part in (hidden[:, 0], hidden[:, 1:end]))
        unseen = None if self.frame_mask is None else (~self.frame_mask).repeat_interleave(self.num_prompts, dim=1)
        prompts = prompts.flatten(1, 2)
        seen, _ = self.pool(classes, prompts, prompts, key_padding_mask=unseen, need_weights=False)
        return torch.cat([(classes + seen).flatten(0, 1)[:, None], hidden[:, end:]], dim=1)
