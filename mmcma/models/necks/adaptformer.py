"""AdaptFormer (Chen et al., NeurIPS 2022; arXiv 2205.13535)."""
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from mmcma.models.backbones.tower import TextTower, VisionTower
from mmcma.models.necks.argument_checks import check_counts, check_dropout
from mmcma.models.necks.base import Neck
from mmcma.models.necks.layer_choice import chosen_sites
from mmcma.registry import MODELS
from mmcma.utils.errors import argument_error


class ParallelBranch(nn.Module):
    """``x -> scale * ReLU(x Wd + bd) Wu + bu``, zero at the start."""

    def __init__(self, *, dim: int, bottleneck_dim: int, scale: float, dropout: float) -> None:
        super().__init__()
        self.down = nn.Linear(dim, bottleneck_dim)
        self.up = nn.Linear(bottleneck_dim, dim)
        self.scale = scale
        self.dropout = nn.Dropout(dropout)
        self.entered: Tensor | None = None
        nn.init.kaiming_uniform_(self.down.weight, a=5 ** 0.5)
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def enter(self, hidden: Tensor) -> Tensor:
        """Takes what the feed-forward branch gets, ``(..., L, dim)``, and lets it pass."""
        self.entered = hidden
        return hidden

    def leave(self, hidden: Tensor) -> Tensor:
        """Adds this branch of what the feed-forward branch got to what it gives, ``(..., L, dim)``."""
        entered, self.entered = self.entered, None
        return hidden + self.scale * self.up(self.dropout(F.relu(self.down(entered))))


@MODELS.register_module()
class AdaptFormer(Neck):
    """A narrow second branch beside the feed-forward network of every layer of both towers.

    ``x = x + FFN(LN(x)) + s (ReLU(LN(x) Wd + bd) Wu + bu)`` (paper, equations 2
    and 3). The released code feeds the branch with x before the LayerNorm;
    this follows the paper.

    Args:
        bottleneck_dim: Width of the branch, at least 1.
        scale: The paper's s.
        dropout: Probability of dropping a bottleneck channel in training; the released code's.
        layers: In which layers, counted in each tower, -1 being the last; None for all.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(self, *, bottleneck_dim: int = 64, scale: float = 0.1, dropout: float = 0.1,
                 layers: Sequence[int] | None = None) -> None:
        super().__init__()
        check_counts(self, bottleneck_dim=bottleneck_dim)
        if scale == 0:
            raise argument_error(self, 'scale', scale, 'leaves the branch without effect: give another number.')
        check_dropout(self, dropout=dropout)
        self.bottleneck_dim = bottleneck_dim
        self.scale = scale
        self.dropout = dropout
        self.layers = layers
        self.vision = nn.ModuleList()
        self.text = nn.ModuleList()

    def attach(self, *, vision: VisionTower, text: TextTower) -> None:
        """Builds one branch for each feed-forward network.

        Raises:
            ConfigError: ``layers`` does not fit a tower.
        """
        for name, tower in (('vision', vision), ('text', text)):
            for site in chosen_sites(self, tower, name, kinds=['ffn'], layers=self.layers):
                branch = ParallelBranch(dim=site.dim, bottleneck_dim=self.bottleneck_dim, scale=self.scale,
                                        dropout=self.dropout)
                # The branch may end in another module than it begins in, so that one hook would not see both.
                self.rewrite_input(site.module if site.entry is None else site.entry, branch.enter, f'{name} {site}')
                self.rewrite_output(site.module, branch.leave, f'{name} {site}')
                getattr(self, name).append(branch)
