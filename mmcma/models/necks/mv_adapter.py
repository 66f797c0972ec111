"""MV-Adapter (Jin et al., CVPR 2024; arXiv 2301.07868)."""
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from mmcma.models.backbones.sites import Site
from mmcma.models.backbones.tower import TextTower, VisionTower
from mmcma.models.necks.argument_checks import check_counts
from mmcma.models.necks.base import Neck
from mmcma.models.necks.mv_adapter_branches import TextBranch, VideoBranch
from mmcma.registry import MODELS
from mmcma.utils.errors import ConfigError, argument_error


@MODELS.register_module()
class MVAdapter(Neck):
    """Bottlenecks with a small transformer layer after every feed-forward network of both towers.

    ``x = x + f + s A(f)`` with f the network's output. In the video branch the
    class tokens and mean patches of all frames attend to each other, with one
    learned token for the clip, and the class tokens' up-projection is calibrated
    frame by frame (temporal adaptation); patches are only projected down and
    up. In the last layers the down-projections of both modalities are scaled,
    channel by channel, by linear maps of one learned factor (cross-modality
    tying). Formulas, start and default widths are those of the released code
    for MSR-VTT.

    Args:
        bottleneck_dim: Width of the bottleneck, a multiple of ``num_heads``.
        num_heads: Heads of its transformer layer.
        scale: s above.
        max_frames: Most frames of a clip.
        max_words: Most tokens of a caption.
        factor_dim: Length of the factor that ties a layer of one tower to one of the other.
        tied_layers: How many layers are tied, counted from the last one down; 0 for none.

    Raises:
        ConfigError: An argument is out of range or, in :meth:`attach`, does not fit the towers.
    """
    needs_several_frames = True

    def __init__(self, *, bottleneck_dim: int = 64, num_heads: int = 2, scale: float = 0.1, max_frames: int = 12,
                 max_words: int = 32, factor_dim: int = 32, tied_layers: int = 2) -> None:
        super().__init__()
        check_counts(self, bottleneck_dim=bottleneck_dim, num_heads=num_heads, factor_dim=factor_dim,
                     max_words=max_words)
        if bottleneck_dim % num_heads:
            raise argument_error(self, 'bottleneck_dim', bottleneck_dim,
                                 f'must be a multiple of num_heads={num_heads}.')
        if max_frames < 2:
            raise argument_error(self, 'max_frames', max_frames, 'must be 2 or more, that frames can be related.')
        self.scale = scale
        self.branch_options = dict(bottleneck_dim=bottleneck_dim, num_heads=num_heads)
        self.max_frames = max_frames
        self.max_words = max_words
        self.tied_layers = tied_layers
        self.factors = nn.ParameterList(nn.Parameter(torch.zeros(factor_dim)) for _ in range(max(tied_layers, 0)))
        self.vision = nn.ModuleList()
        self.text = nn.ModuleList()

    def attach(self, *, vision: VisionTower, text: TextTower) -> None:
        """Builds one branch for each feed-forward network.

        Raises:
            ConfigError: The vision tower has no class token, or ``tied_layers`` is more than a tower has.
        """
        if not vision.prompt_start:
            raise ConfigError(f'MVAdapter relates the class tokens of frames, and the vision tower '
                              f'{vision.source!r} names none; STAdapter works on patches alone.')
        depth = min(len(vision.blocks), len(text.blocks))
        if not 0 <= self.tied_layers <= depth:
            raise argument_error(self, 'tied_layers', self.tied_layers, f'must be from 0 to {depth}, the layers of the '
                                'shallower tower.')
        self.watch_clips(vision)
        for name, tower, adapt in (('vision', vision, self._adapt_vision), ('text', text, self._adapt_text)):
            for site in tower.sites:
                if site.kind == 'ffn':
                    tied = len(tower.blocks) - 1 - site.layer
                    self._add(name, site, adapt, tied if tied < self.tied_layers else None)

    def decays(self, name: str, parameter: nn.Parameter) -> bool:
        """All but biases, as in the released code: gains, positions, tokens and factors too."""
        return not name.endswith('bias')

    def _add(self, name: str, site: Site, adapt: Callable, tied: int | None) -> None:
        factor_dim = None if tied is None else len(self.factors[tied])
        options = dict(dim=site.dim, **self.branch_options)
        branch = (VideoBranch(max_frames=self.max_frames, factor_dim=factor_dim, **options) if name == 'vision' else
                  TextBranch(max_words=self.max_words, factor_dim=factor_dim, **options))
        self.rewrite_output(site.module, partial(adapt, branch, tied), f'{name} {site}')
        getattr(self, name).append(branch)

    def _adapt_vision(self, branch: VideoBranch, tied: int | None, hidden: Tensor) -> Tensor:
        return hidden + self.scale * branch(hidden, self.num_frames, self.frame_mask, self._factor(tied))

    def _adapt_text(self, branch: TextBranch, tied: int | None, hidden: Tensor) -> Tensor:
        return hidden + self.scale * branch(hidden, self._factor(tied))

    def _factor(self, tied: int | None) -> Tensor | None:
        return None if tied is None else self.factors[tied]
