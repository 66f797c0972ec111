"""DGL: dynamic global-local prompt tuning (Yang et al., AAAI 2024; arXiv 2401.10588)."""
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from mmcma.models.backbones.sites import PreNormLayer
from mmcma.models.backbones.tower import TextTower, VisionTower
from mmcma.models.necks.argument_checks import check_counts, check_length
from mmcma.models.necks.base import Neck
from mmcma.models.necks.clip_attention import attend, clip_mask, heads_of, in_clips, require_parts
from mmcma.models.necks.dgl_prompts import LinearSpace, TransformerSpace
from mmcma.models.necks.prompts import prompt_text_layers, prompted_layers
from mmcma.registry import MODELS
from mmcma.utils.errors import argument_error


@MODELS.register_module()
class DGL(Neck):
    """Prompts of frames and words from one latent space, and prompts of the clip that see all of its frames.

    In every vision layer the tokens of a frame and its prompts attend to each
    other and to the clip's ``num_clip_prompts``, which attend to the tokens of
    all frames and to each other. The first of them is the clip's only embedding. Frame prompts
    are fresh in each layer, as those of captions are, which stand after the start token and have no
    positions; both are made from what is shared (:class:`TransformerSpace` or :class:`LinearSpace`).

    The public code (https://github.com/knightyxp/DGL) also puts prompts behind
    the caption, where a causal tower never sees them. Its linear space trains
    a map for them that gets no gradient, which is left out here; in its
    transformer they act on the others, and are there.

    Args:
        space: ``'transformer'``, as in the released command for MSR-VTT, or ``'linear'``.
        num_clip_prompts: Prompts of a clip.
        num_frame_prompts: Prompts of a frame in each layer.
        num_prefix: Prompts of a caption in each layer; with ``'linear'`` as many as of a frame.
        num_postfix: Those behind it, which are only in the transformer.
        max_frames: Most frames of a clip; with ``'transformer'`` each position has its own prompts.

    Raises:
        ConfigError: An argument is out of range or, in :meth:`attach`, does not fit the towers.
    """
    needs_several_frames = True
    clip_tokens = 1

    def __init__(self, *, space: Literal['transformer', 'linear'] = 'transformer', num_clip_prompts: int = 4,
                 num_frame_prompts: int = 4, num_prefix: int = 4, num_postfix: int = 4, max_frames: int = 12) -> None:
        super().__init__()
        check_counts(self, num_clip_prompts=num_clip_prompts, num_frame_prompts=num_frame_prompts,
                     num_prefix=num_prefix, max_frames=max_frames)
        if num_postfix < 0:
            raise argument_error(self, 'num_postfix', num_postfix, 'must be 0 or more.')
        if space == 'linear' and num_prefix != num_frame_prompts:
            raise argument_error(self, 'num_prefix', num_prefix, "must be num_frame_prompts="
                                 f"{num_frame_prompts} with space='linear', which maps one to the other.")
        self.kind = space
        self.num_clip_prompts = num_clip_prompts
        self.num_frame_prompts = num_frame_prompts
        self.num_prefix = num_prefix
        self.num_postfix = num_postfix
        self.max_frames = max_frames

    def attach(self, *, vision: VisionTower, text: TextTower) -> None:
        """Builds the prompts and hooks them into both towers.

        Raises:
            ConfigError: A tower takes no tokens, or does not show what its layers are made of.
        """
        depths = [prompted_layers(self, tower, name, None) for name, tower in (('vision', vision), ('text', text))]
        layers = require_parts(self, vision)
        self.watch_clips(vision)
        sizes = dict(depth=max(depths), width=vision.width, text_width=text.width)
        self.space = (LinearSpace(frame=self.num_frame_prompts, **sizes) if self.kind == 'linear' else
                      TransformerSpace(frame=self.num_frame_prompts, frames=self.max_frames, prefix=self.num_prefix,
                                       postfix=self.num_postfix, num_heads=layers[0].num_heads, **sizes))
        self.clip = nn.Parameter(torch.empty(self.num_clip_prompts, vision.width))
        nn.init.normal_(self.clip, std=0.02)
        prompt_text_layers(self, text, self.space.of_captions, count=self.num_prefix)
        for index, (block, layer) in enumerate(zip(vision.blocks, layers)):
            where = f'vision layer {index}'
            self.rewrite_input(block, partial(self._enter, index), where)
            self.rewrite_around(layer.attn, partial(self._attend, layer), f'{where} attn')
        self.rewrite_output(vision.blocks[-1], self._leave, f'vision layer {len(vision.blocks) - 1}')

    def decays(self, name: str, parameter: nn.Parameter) -> bool:
        """All but biases, as in the public code: prompts too."""
        return not name.endswith('bias')

    def _enter(self, index: int, hidden: Tensor) -> Tensor:
        """Each frame's sequence: the clip's prompts, the same in all, its class token, its prompts and its patches."""
        check_length(f'{type(self).__name__}.max_frames', self.max_frames, self.num_frames, 'clips have {} frames')
        own = self.frame_prompts(index, hidden).to(hidden.dtype)
        if index == 0:
            clip = self.clip.to(hidden.dtype).expand(len(hidden), -1, -1)
            return torch.cat([clip, hidden[:, :1], own, hidden[:, 1:]], dim=1)
        before = self.num_clip_prompts + 1
        return torch.cat([hidden[:, :before], own, hidden[:, before + self.num_frame_prompts:]], dim=1)

    def frame_prompts(self, index: int, hidden: Tensor) -> Tensor:
        """The layer's prompts of the frames, ``(B * T, P, width)``, for the hidden states that it is entered with."""
        own = self.space.of_frames(index, self.num_frames)  # (T, P, width)
        return own.repeat(len(hidden) // self.num_frames, 1, 1)

    def _attend(self, layer: PreNormLayer, call, hidden_states: Tensor, **kwargs) -> tuple[Tensor, None]:
        """Attention of ``(B * T, G + L, width)``: a frame's tokens see their frame and the G, the G see all frames."""
        count = self.num_clip_prompts
        query, key, value = heads_of(layer, hidden_states)
        frames = attend(layer, query[:, :, count:], key, value)
        # The clip's prompts are the same in all frames: those of the first one are asked.
        first = (heads[::self.num_frames, :, :count] for heads in (query, key, value))
        clip_query, clip_key, clip_value = first
        key, value = (torch.cat([own, in_clips(heads[:, :, count:], self.num_frames)], dim=2)
                      for own, heads in ((clip_key, key), (clip_value, value)))
        mask = clip_mask(self.frame_mask, frames.shape[1], before=count)
        clips = attend(layer, clip_query, key, value, mask).repeat_interleave(self.num_frames, dim=0)
        return layer.out(torch.cat([clips, frames], dim=1)), None

    def _leave(self, hidden: Tensor) -> Tensor:
        """``(B * T, G + L, width)`` -> ``(B, G + L, width)``, of which the first token is pooled."""
        return hidden[::self.num_frames]
