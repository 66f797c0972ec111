"""Tokens that are alike become one (ToMe: Bolya et al., ICLR 2023; arXiv 2210.09461)."""
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Matching(NamedTuple):
    """Which r tokens of a sequence ``(N, L, ...)`` are added to which others.

    Attributes:
        rest: int64 ``(N, L - r)``, the places of the tokens that stay, in their new order: the first ones, those at
            even places, those at odd places.
        merged: int64 ``(N, r)``, the places of those that do not.
        into: int64 ``(N, r)``, to which of the rest each of these is added.
    """
    rest: Tensor
    merged: Tensor
    into: Tensor


@torch.no_grad()
def match(metric: Tensor, count: int, first: int) -> Matching:
    """The ``count`` best of the pairs that each token at an even place forms with the most alike at an odd one.

    Args:
        metric: ``(N, L, C)``; alike are those of a high cosine.
        count: Tokens to merge, at most half of those after the first.
        first: Tokens at the beginning that are not looked at.
    """
    even_start, odd_start = first + first % 2, first + 1 - first % 2
    with torch.autocast(metric.device.type, enabled=False):  # bf16 would tell few cosines apart
        unit = F.normalize(metric.float(), dim=-1)
        odd = unit[:, odd_start::2]
        likeness, partner = (unit[:, even_start::2] @ odd.transpose(1, 2)).max(dim=-1)  # (N, even)
    order = likeness.argsort(dim=-1, descending=True)
    merged, kept = order[:, :count], order[:, count:].sort(dim=-1).values
    places = torch.arange(metric.shape[1], device=metric.device).expand(len(metric), -1)
    rest = torch.cat([places[:, :first], even_start + 2 * kept, places[:, odd_start::2]], dim=1)
    return Matching(rest, even_start + 2 * merged, first + kept.shape[1] + partner.gather(1, merged))


def merge(x: Tensor, sizes: Tensor, matching: Matching) -> tuple[Tensor, Tensor]:
    """Means of the matched tokens, weighted by how many tokens each stands for, and their new sizes.

    Args:
        x: ``(N, L, D)``.
        sizes: ``(N, L, 1)``, above 0.
        matching: Of r tokens.

    Returns:
        ``(N, L - r, D)`` and ``(N, L - r, 1)``.
    """
    rest, merged, into = matching
    own, added = (sizes.gather(1, places[..., None]) for places in (rest, merged))
    total = own.scatter_add(1, into[..., None], added)
    kept = _rows(x, rest) * (own / total).to(x.dtype)
    share = _rows(x, merged) * (added / total.gather(1, into[..., None])).to(x.dtype)
    # Nothing but the r tokens is touched again; `kept` is no one else's.
    kept.flatten(0, 1).index_add_(0, _in_all(into, rest.shape[1]), share.flatten(0, 1))
    return kept, total


def _rows(x: Tensor, places: Tensor) -> Tensor:
    """The tokens of ``x`` ``(N, L, D)`` at ``places`` ``(N, K)``: ``(N, K, D)``."""
    return x.flatten(0, 1).index_select(0, _in_all(places, x.shape[1])).unflatten(0, places.shape)


def _in_all(places: Tensor, length: int) -> Tensor:
    """Places in each of N sequences of ``length`` as places in all of them, one after the other."""
    return (places + length * torch.arange(len(places), device=places.device)[:, None]).flatten()
