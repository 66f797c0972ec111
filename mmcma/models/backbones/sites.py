"""The places of a transformer tower whose output an adapter may rewrite."""
from dataclasses import dataclass
from typing import Literal

from torch import nn

#: Self-attention or feed-forward.
Kind = Literal['attn', 'ffn']


@dataclass(frozen=True)
class Site:
    """One residual branch of one layer.

    Attributes:
        layer: Index of the layer, from 0 at the input.
        kind: ``'attn'`` (self-attention) or ``'ffn'`` (feed-forward).
        module: Its output, before the residual sum, is the hidden state
            ``(..., L, dim)``; or a tuple that begins with it.
        dim: Width of that hidden state.
        entry: Where the branch begins: its first input is the hidden state
            that the branch gets, normalised where the layer normalises first,
            of the same shape. None where that is ``module`` itself.
    """
    layer: int
    kind: Kind
    module: nn.Module
    dim: int
    entry: nn.Module | None = None

    def __str__(self) -> str:
        return f'layer {self.layer} {self.kind}'
