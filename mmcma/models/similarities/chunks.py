"""Scores whose intermediate values are many for each pair, in bounded memory."""
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mmcma.structures import Features

#: Intermediate values that live at once; 2^27 of float32 are half a gigabyte.
VALUES_AT_ONCE = 2**27
#: The same on a CPU where no gradient is taken, so that smaller chunks cost nothing: they stay in the cache.
VALUES_IN_CACHE = 2**21


def score_in_chunks(score: Callable[[Features, Features], Tensor], text: Features, visual: Features,
                    values_per_pair: int) -> Tensor:
    """``score(text, visual)``, ``(N, M)``, for a few visual items at a time.

    In training a chunk's intermediate values are computed again in the
    backward pass, since autograd would keep those of all chunks. Chunks are of
    items and not of texts: an item's frames are many, and with their gradient
    they are read once.

    Args:
        score: Scores of N texts and m visual items, ``(N, m)``.
        text: Features of N texts.
        visual: Features of M items.
        values_per_pair: How many values ``score`` keeps for one pair, roughly.
    """
    training = torch.is_grad_enabled()
    values = VALUES_AT_ONCE if training or text.pooled.is_cuda else VALUES_IN_CACHE
    count, size = len(visual.pooled), max(1, values // (values_per_pair * len(text.pooled)))
    if size >= count:
        return score(text, visual)
    chunks = (visual.rows(slice(start, start + size)) for start in range(0, count, size))
    return torch.cat([checkpoint(score, text, chunk, use_reentrant=False) if training else score(text, chunk)
                      for chunk in chunks], dim=1)
