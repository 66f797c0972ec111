"""Tokens that are alike become one (ToMe: Bolya et al., ICLR 2023; arXiv 2210.09461)."""
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Matching(NamedTuple):
    """Which tokens of a sequence ``(N, L, ...)`` are added to which others.

    Attributes:
        first: Tokens at the beginning that stay as they are.
        kept: int64 ``(N, A - r)``, of the A tokens at even places after those, the ones that stay, in order.
        merged: int64 ``(N, r)``, the ones that do not.
        into: int64 ``(N, r)``, where among the tokens at odd places each of these goes.
    """
    first: int
    kept: Tensor
    merged: Tensor
    into: Tensor

    def sum(self, x: Tensor) -> Tensor:
        """``x`` ``(N, L, C)`` with each merged token added to another: ``(N, L - r, C)``, first the kept ones."""
        even, odd = _alternate(x, self.first)
        odd = odd.scatter_add(1, _over(self.into, x), even.gather(1, _over(self.merged, x)))
        return torch.cat([x[:, :self.first], even.gather(1, _over(self.kept, x)), odd], dim=1)


@torch.no_grad()
def match(metric: Tensor, count: int, first: int) -> Matching:
    """The ``count`` best of the pairs that each token at an even place forms with the most alike at an odd one.

    Args:
        metric: ``(N, L, C)``; alike are those of a high cosine.
        count: Tokens to merge, at most half of those after the first.
        first: Tokens at the beginning that are not looked at.
    """
    with torch.autocast(metric.device.type, enabled=False):  # bf16 would tell few cosines apart
        even, odd = _alternate(F.normalize(metric.float(), dim=-1), first)
        likeness, partner = (even @ odd.transpose(1, 2)).max(dim=-1)  # (N, A)
    order = likeness.argsort(dim=-1, descending=True)
    merged, kept = order[:, :count], order[:, count:].sort(dim=-1).values
    return Matching(first, kept, merged, partner.gather(1, merged))


def merge(x: Tensor, sizes: Tensor, matching: Matching) -> tuple[Tensor, Tensor]:
    """Means of the matched tokens, weighted by how many tokens each stands for, and their new sizes.

    Args:
        x: ``(N, L, D)``.
        sizes: ``(N, L, 1)``, above 0.
        matching: Of r tokens.

    Returns:
        ``(N, L - r, D)`` and ``(N, L - r, 1)``.
    """
    merged = matching.sum(sizes)
    return (matching.sum(x * sizes) / merged).to(x.dtype), merged


def _alternate(x: Tensor, first: int) -> tuple[Tensor, Tensor]:
    """The tokens after the first ones at even and at odd places, counted from the beginning of the sequence."""
    after = x[:, first:]
    return after[:, first % 2::2], after[:, 1 - first % 2::2]


def _over(index: Tensor, x: Tensor) -> Tensor:
    """An index ``(N, r)`` for all channels of ``x`` ``(N, L, C)``."""
    return index[..., None].expand(-1, -1, x.shape[-1])
