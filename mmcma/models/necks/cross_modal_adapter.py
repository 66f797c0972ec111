"""Cross-Modal Adapter (Jiang et al., Pattern Recognition 159, 2025; arXiv 2211.09623)."""
from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.activations import ACT2FN

from mmcma.models.backbones.sites import Site
from mmcma.models.backbones.tower import TextTower, Tower, VisionTower
from mmcma.models.necks.argument_checks import check_counts, check_dropout
from mmcma.models.necks.base import Neck
from mmcma.models.necks.layer_choice import chosen_sites
from mmcma.registry import MODELS
from mmcma.utils.errors import argument_error


class Bottleneck(nn.Module):
    """One modality's own weights at one site: both projections but for the channels that are shared."""

    def __init__(self, *, dim: int, bottleneck_dim: int, shared_in: int, shared_out: int) -> None:
        super().__init__()
        self.down = nn.Linear(dim - shared_in, bottleneck_dim)
        self.up = nn.Linear(bottleneck_dim, dim - shared_out) if dim > shared_out else None


class AdapterSlot(nn.Module):
    """The adapters of one slot (layer, attention or feed-forward), which share part of one projection.

    With ``share='up'``, ``A(h) = h + [s(h Wd + bd) Wu + bu, s(h Wd + bd) Ws + bs]``:
    the last ``shared_dim`` output channels come from ``(Ws, bs)``, the same for
    both modalities (paper, section 3.2). With ``share='down'``, where h is
    ``[h1, h2]``, ``A(h) = h + s(h1 Wd + h2 Ws + bd) Wu + bu``: the last
    ``shared_dim`` input channels enter through ``Ws``, and every bias is the
    modality's own.

    Args:
        vision_dim: Width of the vision site; None where the text tower is deeper.
        text_dim: Width of the text site; None where the vision tower is deeper.
        bottleneck_dim: Width r of the bottleneck.
        shared_dim: Number d_s of the shared channels; an unpaired slot has none.
        share: ``'up'`` or ``'down'``, the projection that they belong to.
        activation: Name of the function s in ``transformers``.
        dropout: Probability of dropping a bottleneck channel in training.
    """

    def __init__(self, *, vision_dim: int | None, text_dim: int | None, bottleneck_dim: int, shared_dim: int,
                 share: str, activation: str, dropout: float) -> None:
        super().__init__()
        paired = vision_dim is not None and text_dim is not None
        shared_in, shared_out = [shared_dim if paired and share == side else 0 for side in ('down', 'up')]
        self.shared_down = nn.Linear(shared_in, bottleneck_dim, bias=False) if shared_in else None
        self.shared = nn.Linear(bottleneck_dim, shared_out) if shared_out else None
        for modality, dim in (('vision', vision_dim), ('text', text_dim)):
            own = None if dim is None else Bottleneck(
                dim=dim, bottleneck_dim=bottleneck_dim, shared_in=shared_in, shared_out=shared_out)
            self.add_module(modality, own)
        self.activation = ACT2FN[activation]
        self.dropout = nn.Dropout(dropout)

    def adapt(self, modality: str, hidden: Tensor) -> Tensor:
        """``A(hidden)`` for hidden states ``(..., L, dim)`` of ``'vision'`` or ``'text'``."""
        own = getattr(self, modality)
        # One product with the joined weights: joining (dim, r) is cheaper than joining (..., L, dim).
        middle = own.down(hidden) if self.shared_down is None else F.linear(
            hidden, torch.cat([own.down.weight, self.shared_down.weight], dim=1), own.down.bias)  # (..., L, r)
        middle = self.dropout(self.activation(middle))
        up = [layer for layer in (own.up, self.shared) if layer is not None]
        return hidden + F.linear(middle, torch.cat([layer.weight for layer in up]),
                                 torch.cat([layer.bias for layer in up]))


@MODELS.register_module()
class CrossModalAdapter(Neck):
    """Bottleneck adapters after every attention and feed-forward branch of both towers, partly shared.

    Sites are paired from the last layer down, so that towers of different
    depth share where both have a layer; the rest is not shared.

    Args:
        bottleneck_dim: Width r of the bottleneck, at least 1.
        shared_dim: Channels d_s shared by the modalities: 0 (uni-modal
            adapters) up to the narrower tower's width (nothing of its own; one
            less with ``share='down'``).
        share: ``'up'``, the last output channels of the up-projection, as in
            the paper, or ``'down'``, the last input channels of the down-projection.
        kinds: After which branches: ``'attn'``, ``'ffn'`` or both.
        layers: In which layers, counted in each tower, -1 being the last; None for all.
        activation: ``'quick_gelu'`` as in the released code, ``'gelu'`` as in
            the paper, or any name of ``transformers.activations``.
        dropout: Probability on the bottleneck; 0 in the released code.
        init_std: Standard deviation of the truncated normal that weights start
            from; biases start at zero.

    Raises:
        ConfigError: An argument is out of range; what depends on the towers is
            checked by :meth:`attach`.
    """

    def __init__(self, *, bottleneck_dim: int = 8, shared_dim: int = 16, share: Literal['up', 'down'] = 'up',
                 kinds: Sequence[str] = ('attn', 'ffn'), layers: Sequence[int] | None = None,
                 activation: str = 'quick_gelu', dropout: float = 0.0, init_std: float = 0.01) -> None:
        super().__init__()
        check_counts(self, bottleneck_dim=bottleneck_dim)
        if share not in ('up', 'down'):
            raise argument_error(self, 'share', share, "must be 'up' or 'down', the projection that is shared.")
        if activation not in ACT2FN:
            raise argument_error(self, 'activation', activation, 'is no activation of transformers; '
                                "the paper's choices are 'quick_gelu' and 'gelu'.")
        check_dropout(self, dropout=dropout)
        self.bottleneck_dim = bottleneck_dim
        self.shared_dim = shared_dim
        self.share = share
        self.kinds = kinds
        self.layers = layers
        self.activation = activation
        self.dropout = dropout
        self.init_std = init_std
        self.slots = nn.ModuleList()

    def attach(self, *, vision: VisionTower, text: TextTower) -> None:
        """Builds one slot for each pair of sites and hooks it to both.

        Raises:
            ConfigError: ``shared_dim``, ``kinds`` or ``layers`` does not fit the towers.
        """
        widest = min(vision.width, text.width) - (self.share == 'down')
        if not 0 <= self.shared_dim <= widest:
            raise argument_error(self, 'shared_dim', self.shared_dim, 'must be between 0 (uni-modal adapters) and '
                                f'{widest}, as many channels as the narrower tower can share.')
        depth = max(len(vision.blocks), len(text.blocks))
        for vision_site, text_site in zip(self._padded(vision, 'vision', depth), self._padded(text, 'text', depth)):
            if vision_site is None and text_site is None:
                continue
            slot = AdapterSlot(
                vision_dim=None if vision_site is None else vision_site.dim,
                text_dim=None if text_site is None else text_site.dim,
                bottleneck_dim=self.bottleneck_dim, shared_dim=self.shared_dim, share=self.share,
                activation=self.activation, dropout=self.dropout)
            for modality, site in (('vision', vision_site), ('text', text_site)):
                if site is not None:
                    self.rewrite_output(site.module, partial(slot.adapt, modality), f'{modality} {site}')
            self.slots.append(slot)
        self._initialise()

    def _padded(self, tower: Tower, name: str, depth: int) -> list[Site | None]:
        """Two places for each of ``depth`` layers; None where there is no such layer, or it was not chosen."""
        chosen = chosen_sites(self, tower, name, kinds=self.kinds, layers=self.layers)
        missing = 2 * (depth - len(tower.blocks))
        return [None] * missing + [site if site in chosen else None for site in tower.sites]

    def _initialise(self) -> None:
        for name, parameter in self.named_parameters():
            if name.endswith('bias'):
                nn.init.zeros_(parameter)
            else:
                nn.init.trunc_normal_(parameter, std=self.init_std)
