"""A method of tests alone that uses all that a neck can do around a layer."""
from functools import partial

import torch
from torch import Tensor, nn

from mmcma.models import Neck
from mmcma.models.necks.prompts import prompt_vision
from mmcma.registry import MODELS


@MODELS.register_module()
class AroundNeck(Neck):
    """Attention over all frames of a clip in the first layer, prompts that a second one makes of its input.

    Args:
        clip_tokens: How many tokens the last layer leaves of a clip; None for one a frame.
        weight: Of a loss that pulls the hidden states of all clips together; 0 for none.
    """

    def __init__(self, *, clip_tokens: int | None = None, weight: float = 0.0) -> None:
        super().__init__()
        self.clip_tokens = clip_tokens
        self.weight = weight

    def attach(self, *, vision, text) -> None:
        self.watch_clips(vision)
        self.scale = nn.Parameter(torch.ones(vision.width))
        self.to_prompts = nn.Linear(vision.width, 2 * vision.width)
        first, last = vision.pre_norm_layers[0], vision.blocks[-1]
        self.rewrite_around(first.attn, self.attend, 'vision layer 0 attn')
        prompt_vision(self, vision, self.prompts, depth=2, count=2)
        if self.clip_tokens is not None:
            self.rewrite_around(last, partial(self.shorten, self.clip_tokens), 'the last vision layer')

    def attend(self, call, hidden_states: Tensor, **kwargs):
        """One call on ``(B, T * L, D)``, scaled, in the place of one on ``(B * T, L, D)``."""
        rows, length, _ = hidden_states.shape
        clips = (self.scale * hidden_states).unflatten(0, (-1, self.num_frames)).flatten(1, 2)
        output, weights = call(hidden_states=clips, **kwargs)
        self.first = output.mean(dim=1)  # (B, D)
        return output.unflatten(1, (-1, length)).flatten(0, 1), weights

    def prompts(self, layer: int, hidden: Tensor) -> Tensor:
        """``(N, 2, D)`` from the mean of the sequence ``(N, L, D)``."""
        return self.to_prompts(hidden.mean(dim=1)).unflatten(1, (2, -1)) + layer

    def shorten(self, count: int, call, hidden: Tensor, *args, **kwargs) -> Tensor:
        """``(B * T, L, D)`` -> ``(B * count, L, D)``: the first frames of a clip."""
        return call(hidden, *args, **kwargs).unflatten(0, (-1, self.num_frames))[:, :count].flatten(0, 1)

    def extra_features(self) -> dict[str, Tensor]:
        return dict(first=self.first) if self.weight else {}

    def losses(self, text, visual, positives, logits, scale) -> dict[str, Tensor]:
        if not self.weight:
            return {}
        first = visual.extra['first']
        return dict(together=self.weight * (first - first.mean(dim=0)).pow(2).sum() / len(first))
