"""The places of a transformer tower that a method may rewrite."""
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


@dataclass(frozen=True)
class PreNormLayer:
    """The parts of a layer ``x + attn(attn_norm(x))``, then ``x + ffn(ffn_norm(x))``, for what runs them otherwise.

    ``attn`` takes hidden states ``(N, L, dim)`` and ``attention_mask``, which is added to the scores ``(N, heads, L,
    L)``, and gives a tuple that begins with hidden states. What other methods have put at the parts works where they
    are called.

    Attributes:
        query, key, value, out: The linear maps within ``attn``.
        num_heads: Heads of ``attn``.
    """
    attn_norm: nn.Module
    attn: nn.Module
    ffn_norm: nn.Module
    ffn: nn.Module
    query: nn.Module
    key: nn.Module
    value: nn.Module
    out: nn.Module
    num_heads: int
