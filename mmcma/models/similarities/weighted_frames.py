"""Cosine of a text and a weighted sum of frames, where the weights depend on the text."""
from collections.abc import Callable

import torch
from torch import Tensor

#: Values that are kept for one frame of a pair: products, weights and their like.
VALUES_PER_FRAME = 6


def weighted_sum_cosine(queries: Tensor, frames: Tensor, weigh: Callable[[Tensor], Tensor]) -> Tensor:
    """Cosines ``(N, M)`` of each query and the frames of each item, summed with the pair's own weights.

    The weighted sum, ``(N, M, D)``, is never formed: with ``s_j = <t, f_j>``
    its product with ``t`` is ``sum_j w_j s_j``, and its squared length is
    ``w' G w`` with the Gram matrix ``G = f f'`` of the item's own frames.

    Args:
        queries: ``(N, D)``.
        frames: ``(M, T, D)``.
        weigh: Maps the products of frames and queries, ``(M, T, N)``, to weights of the same shape.
    """
    scores = frames @ queries.T  # (M, T, N)
    weights = weigh(scores)
    gram = frames @ frames.transpose(1, 2)  # (M, T, T)
    dot = (weights * scores).sum(dim=1)  # (M, N)
    squared = (weights * (gram @ weights)).sum(dim=1)  # (M, N)
    # Rounding can push a tiny length below zero; the floor keeps the root and its gradient finite.
    length = squared.clamp_min(torch.finfo(squared.dtype).tiny).sqrt()
    return (dot / (length * queries.norm(dim=-1).clamp_min(1e-12))).T
