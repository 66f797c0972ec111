"""A neck: every branch's output scaled and shifted, channel by channel (SSF: Lian et al., NeurIPS 2022)."""
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmcma.models import Neck, Tower
from mmcma.registry import MODELS


class Affine(nn.Module):
    """``gain * h + offset``; the identity at the start."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(dim))
        self.offset = nn.Parameter(torch.zeros(dim))

    def forward(self, hidden: Tensor) -> Tensor:  # (..., L, dim) in and out
        return self.gain * hidden + self.offset


@MODELS.register_module()
class ScaleShift(Neck):
    """Scales and shifts what leaves the branches of every layer of both towers.

    Args:
        kinds: Which branches: ``'attn'``, ``'ffn'`` or both.
    """

    def __init__(self, *, kinds: Sequence[str] = ('attn', 'ffn')) -> None:
        super().__init__()
        self.kinds = kinds
        self.affines = nn.ModuleList()

    def attach(self, *, vision: Tower, text: Tower) -> None:
        for name, tower in (('vision', vision), ('text', text)):
            for site in tower.sites:
                if site.kind in self.kinds:
                    affine = Affine(site.dim)
                    self.affines.append(affine)
                    self.rewrite_output(site.module, affine, f'{name} {site}')
