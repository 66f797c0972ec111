"""TempMe: temporal token merging (Shen et al., ICLR 2025; arXiv 2409.01156)."""
from collections.abc import Sequence
from functools import partial
from math import prod

import torch
from torch import Tensor, nn

from mmcma.models.backbones.sites import PreNormLayer
from mmcma.models.backbones.tower import TextTower, VisionTower
from mmcma.models.necks.base import Neck
from mmcma.models.necks.joint_lora import joint_lora
from mmcma.models.necks.token_merging import match, merge
from mmcma.registry import MODELS
from mmcma.utils.errors import ConfigError, argument_error

#: Tokens that one of a padding frame stands for: they weigh nothing beside real ones, and attention's log stays finite.
_NOTHING = 1e-12


@MODELS.register_module()
class TempMe(Neck):
    """Patches that are alike are merged, first within frames, then across neighbouring ones that become one sequence.

    Up to the first merge layer, each layer merges ``tokens_per_layer`` patches
    of each frame. Before attention, a merge layer joins the sequences of as
    many neighbours as ``merge_frames`` says, adds learned positions of the frames
    and merges a share of the patches over all of them; from then on each layer
    merges another share. Attention counts a token for as many as it stands for.
    Class tokens are never merged, so that the tower still gives an embedding a
    frame. With it trains a low-rank update of the query, key and value projections of both towers.

    Trains, with widths D, ``4 r (12 D_v + 12 D_t)`` parameters on 12 layers, and D_v for each frame before each merge
    layer. Formulas, start and defaults are those of the released code for MSR-VTT and ViT-B/32. A frame of padding,
    which that code takes for one of the clip, has no weight here. A single image is not joined to anything.

    Args:
        num_frames: Frames T of a clip; what ``LoadVideoFrames`` gives.
        merge_layers: Layers that join frames, from 0 at the input.
        merge_frames: How many neighbours each of them joins.
        tokens_per_layer: Patches that are merged in a layer before those; 0 for none.
        across: Share of the joined tokens that a merge layer merges.
        within: Share of the tokens that it and each layer after it merges after attention.
        lora_rank: r above; 0 for no update, where another method adapts the layers.

    Raises:
        ConfigError: An argument is out of range or, in :meth:`attach`, does not fit the towers.
    """
    needs_several_frames = True
    merges_tokens = True

    def __init__(self, *, num_frames: int = 12, merge_layers: Sequence[int] = (8, 9, 10),
                 merge_frames: Sequence[int] = (2, 2, 3), tokens_per_layer: int = 2, across: float = 0.3,
                 within: float = 0.1, lora_rank: int = 8) -> None:
        super().__init__()
        if list(merge_layers) != sorted(set(merge_layers)) or not merge_layers or merge_layers[0] < 0:
            raise argument_error(self, 'merge_layers', merge_layers, 'must be rising numbers of layers, such as '
                                 '(8, 9, 10).')
        if len(merge_frames) != len(merge_layers) or min(merge_frames) < 2 or num_frames % prod(merge_frames):
            raise argument_error(self, 'merge_frames', merge_frames, f'must have a number from 2 up for each of the '
                                 f'{len(merge_layers)} merge_layers, whose product divides num_frames={num_frames}.')
        for name, share in (('across', across), ('within', within)):
            if not 0 <= share <= 0.5:
                raise argument_error(self, name, share, 'must be from 0 to 0.5: half of the tokens can be merged.')
        for name, count in (('tokens_per_layer', tokens_per_layer), ('lora_rank', lora_rank)):
            if count < 0:
                raise argument_error(self, name, count, 'must be 0 or more.')
        self.frames_of_clips = num_frames
        self.joined = dict(zip(merge_layers, merge_frames))
        self.tokens_per_layer, self.across, self.within = tokens_per_layer, across, within
        self.lora_rank = lora_rank
        self.positions = nn.ParameterDict()
        self._sizes: list[Tensor] = []  # of the tokens that enter each layer

    def attach(self, *, vision: VisionTower, text: TextTower) -> None:
        """Puts itself around every vision layer, and the updates beside the projections of both towers.

        Raises:
            ConfigError: A tower does not show the parts of its layers, or the vision tower has no class token or
                fewer layers than ``merge_layers``.
        """
        self._check_towers(vision, text)
        self.watch_clips(vision)
        self._sizes = [torch.ones(())] * (1 + len(vision.blocks))
        self._joined_before = [prod(joins for layer, joins in self.joined.items() if layer < index)
                               for index in range(len(vision.blocks))]
        for index, layer in enumerate(vision.pre_norm_layers):
            if index in self.joined:
                self.positions[str(index)] = nn.Parameter(
                    torch.zeros(self.frames_of_clips // self._joined_before[index], vision.width))
            self.rewrite_around(vision.blocks[index], partial(self._run, layer, index), f'vision layer {index}')
        if self.lora_rank:
            self.vision = joint_lora(self, vision, 'vision', rank=self.lora_rank)
            self.text = joint_lora(self, text, 'text', rank=self.lora_rank)

    def _check_towers(self, vision: VisionTower, text: TextTower) -> None:
        for modality, tower in (('vision', vision), *([('text', text)] if self.lora_rank else [])):
            if not tower.pre_norm_layers:
                raise ConfigError(f'TempMe runs the parts of layers by itself, and the {modality} tower '
                                  f'{tower.source!r} does not show them; use a CLIP of transformers with '
                                  "attn_implementation='sdpa' or 'eager'.")
        if not vision.prompt_start:
            raise ConfigError(f'TempMe keeps the class tokens of frames, and the vision tower {vision.source!r} names '
                              'none; use a CLIP.')
        depth = len(vision.blocks)
        if max(self.joined) >= depth:
            raise argument_error(self, 'merge_layers', tuple(self.joined), f'does not fit: the vision tower has '
                                 f'{depth} layers; choose from 0 to {depth - 1}.')

    def _run(self, layer: PreNormLayer, index: int, call, hidden: Tensor, attention_mask=None, **kwargs) -> Tensor:
        """The layer on ``(B * F, L, D)``: F rows a clip, which begin with its T / F class tokens."""
        frames = max(self._checked_frames() // self._joined_before[index], 1)
        classes = self.num_frames // frames
        sizes = self._sizes[index] if index else self._first_sizes(hidden)
        if index in self.joined and frames > 1:
            hidden, sizes = self._join(index, hidden, sizes, frames, classes)
            classes *= self.joined[index]
        # In the first layer all tokens of a row are of one size.
        bias = sizes.log().transpose(1, 2)[:, None] if index else None  # (N, 1, 1, L)
        states = layer.attn_norm(hidden)
        hidden = hidden + layer.attn(hidden_states=states, attention_mask=bias, **kwargs)[0]
        with torch.no_grad():
            keys = layer.key(states).unflatten(-1, (layer.num_heads, -1)).mean(dim=2)  # (N, L, D / heads)
        hidden, self._sizes[index + 1] = self._merge_within(index, hidden, sizes, keys, classes)
        hidden = hidden + layer.ffn(layer.ffn_norm(hidden))
        return hidden if index + 2 < len(self._sizes) else hidden[:, :classes].reshape(-1, 1, hidden.shape[-1])

    def _checked_frames(self) -> int:
        if self.num_frames not in (1, self.frames_of_clips):
            raise argument_error(self, 'num_frames', self.frames_of_clips, f'is not the {self.num_frames} frames of '
                                 'the clips; set it and num_frames of LoadVideoFrames to the same.')
        return self.num_frames

    def _first_sizes(self, hidden: Tensor) -> Tensor:
        """1 ``(N, L, 1)`` for all tokens but those of padding frames."""
        sizes = hidden.new_ones(*hidden.shape[:2], 1, dtype=torch.float32)
        if self.frame_mask is None:
            return sizes
        return sizes.masked_fill(~self.frame_mask.flatten()[:, None, None], _NOTHING)

    def _join(self, index: int, hidden: Tensor, sizes: Tensor, frames: int, classes: int) -> tuple[Tensor, Tensor]:
        """Neighbouring rows as one, with positions and fewer patches."""
        joins = self.joined[index]
        beside = partial(_beside_each_other, joins=joins, classes=classes)
        placed = hidden.unflatten(0, (-1, frames)) + self.positions[str(index)][:, None].to(hidden.dtype)
        length = hidden.shape[1]
        count = min((length - classes) * joins // 2, int(length * joins * self.across))
        matching = match(beside(_seen(hidden, sizes)), count, joins * classes)
        return merge(beside(placed.flatten(0, 1)), beside(sizes), matching)

    def _merge_within(self, index: int, hidden: Tensor, sizes: Tensor, keys: Tensor,
                      classes: int) -> tuple[Tensor, Tensor]:
        """Each row with fewer patches; alike are those of like keys."""
        length = hidden.shape[1]
        wanted = self.tokens_per_layer if index < min(self.joined) else int(length * self.within)
        return merge(hidden, sizes, match(_seen(keys, sizes), min((length - classes) // 2, wanted), classes))


def _seen(metric: Tensor, sizes: Tensor) -> Tensor:
    """``metric`` ``(N, L, C)``, zero for tokens of padding: whatever they show, they are alike to none."""
    return metric * (sizes > 0.5)


def _beside_each_other(x: Tensor, *, joins: int, classes: int) -> Tensor:
    """``(N, L, C)`` -> ``(N / joins, joins * L, C)``: the class tokens of neighbouring rows, then their patches."""
    rows = x.unflatten(0, (-1, joins))
    return torch.cat([rows[:, :, :classes].flatten(1, 2), rows[:, :, classes:].flatten(1, 2)], dim=1)
