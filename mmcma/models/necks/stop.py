"""STOP: integrated spatial-temporal dynamic prompting (Liu et al., CVPR 2025; arXiv 2503.15973)."""
from functools import partial

from torch import Tensor, nn

from mmcma.models.backbones.sites import PreNormLayer
from mmcma.models.backbones.tower import TextTower, VisionTower
from mmcma.models.necks.argument_checks import check_counts
from mmcma.models.necks.clip_attention import require_parts
from mmcma.models.necks.dgl import DGL
from mmcma.models.necks.stop_prompts import BetweenFrames, PixelPrompts
from mmcma.registry import MODELS
from mmcma.utils.errors import ConfigError, argument_error


@MODELS.register_module()
class STOP(DGL):
    """:class:`DGL` with a transformer, prompts of pixels, prompts between frames, and a narrow branch in each layer.

    A network of 3D convolutions adds to the pixels of a clip, more to patches
    that it chooses (intra-frame prompts; :class:`PixelPrompts`). What another one makes
    of the patches of all frames is added to the prompts of the frames in every
    layer (inter-frame prompts; :class:`BetweenFrames`). In both towers
    ``0.1 (p(x Wd + bd) Wu + bu)`` of width ``branch_dim``, p being a PReLU, stands beside each
    feed-forward network, and reads the stream before its norm.

    The convolution that chooses patches gets no gradient in the public code
    (https://github.com/zhoujiahuan1991/CVPR2025-STOP), whose choice is a comparison; it is kept as drawn.
    Frames of padding, which that code takes for frames of the clip, are not seen.

    Args:
        num_chosen: Patches of a frame that are chosen, fewer than it has.
        branch_dim: Width of the branches.
        num_clip_prompts, num_frame_prompts, num_prefix, num_postfix, max_frames: As of :class:`DGL`.

    Raises:
        ConfigError: An argument is out of range or, in :meth:`attach`, does not fit the towers.
    """

    def __init__(self, *, num_chosen: int = 6, branch_dim: int = 32, num_clip_prompts: int = 4,
                 num_frame_prompts: int = 4, num_prefix: int = 4, num_postfix: int = 4, max_frames: int = 12) -> None:
        super().__init__(num_clip_prompts=num_clip_prompts, num_frame_prompts=num_frame_prompts,
                         num_prefix=num_prefix, num_postfix=num_postfix, max_frames=max_frames)
        check_counts(self, num_chosen=num_chosen, branch_dim=branch_dim)
        self.num_chosen = num_chosen
        self.branch_dim = branch_dim
        self._of_clips: dict[str, Tensor] = {}  # those that are encoded

    def attach(self, *, vision: VisionTower, text: TextTower) -> None:
        """Builds the networks and hooks them into both towers.

        Raises:
            ConfigError: A tower takes no tokens, does not show its layers' parts or the size of its patches, or a
                frame has no more patches than ``num_chosen``.
        """
        layers = require_parts(self, vision)
        if not text.pre_norm_layers:
            raise ConfigError(f'STOP runs the parts of layers by itself, and the text tower {text.source!r} does not '
                              'show them: take a CLIP, or DGL, which needs those of the vision tower alone.')
        grid = vision.patches_per_side
        if grid ** 2 <= self.num_chosen:
            raise argument_error(self, 'num_chosen', self.num_chosen, f'must be less than the {grid ** 2} patches of a '
                                 f'frame in the vision tower {vision.source!r}.')
        super().attach(vision=vision, text=text)
        self.pixels = PixelPrompts(grid=grid, chosen=self.num_chosen)
        self.between = BetweenFrames(width=vision.width, num_heads=layers[0].num_heads, patches=grid ** 2,
                                     count=self.num_frame_prompts)
        self.rewrite_call(vision, self._prompt_pixels, 'the vision tower')
        self.branches = nn.ModuleDict()
        for name, tower in (('vision', vision), ('text', text)):
            branches = [nn.Sequential(nn.Linear(tower.width, self.branch_dim), nn.PReLU(),
                                      nn.Linear(self.branch_dim, tower.width)) for _ in tower.blocks]
            for index, (block, layer) in enumerate(zip(tower.blocks, tower.pre_norm_layers)):
                self.rewrite_around(block, partial(self._run, layer, branches[index]), f'{name} layer {index}')
            self.branches[name] = nn.ModuleList(branches)

    def frame_prompts(self, index: int, hidden: Tensor) -> Tensor:
        """DGL's of the layer, ``(B * T, P, width)``, and those between frames, which are of the first layer's input."""
        if index == 0:
            patches = hidden[:, 1:].unflatten(0, (-1, self.num_frames))
            chosen = self._of_clips['chosen'].flatten(2)
            self._of_clips['between'] = self.between(patches, chosen, self._valid(hidden)).flatten(0, 1)
        return super().frame_prompts(index, hidden) + self._of_clips['between']

    def _prompt_pixels(self, pixels: Tensor, *args, **kwargs) -> tuple[tuple, dict]:
        """Pixels of clips ``(B, T, 3, S, S)``, or of images ``(N, 3, S, S)``."""
        clips = pixels if pixels.ndim == 5 else pixels[:, None]
        prompted, self._of_clips['chosen'] = self.pixels(clips, self._valid(pixels))
        return (prompted.view_as(pixels), *args), kwargs

    def _valid(self, like: Tensor) -> Tensor | None:
        return None if self.frame_mask is None else self.frame_mask.to(like.dtype)

    def _run(self, layer: PreNormLayer, branch: nn.Module, call, hidden: Tensor, attention_mask=None,
             **kwargs) -> Tensor:
        """The layer with the branch beside its feed-forward network."""
        states = layer.attn_norm(hidden)
        hidden = hidden + layer.attn(hidden_states=states, attention_mask=attention_mask, **kwargs)[0]
        return hidden + layer.ffn(layer.ffn_norm(hidden)) + 0.1 * branch(hidden)

    def _leave(self, hidden: Tensor) -> Tensor:
        self._of_clips.clear()  # a copy of the model cannot have what belongs to a graph
        return super()._leave(hidden)
