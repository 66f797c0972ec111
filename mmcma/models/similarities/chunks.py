"""Scores whose intermediate values are many for each pair, in bounded memory."""
from typing import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mmcma.structures import Features

#: Intermediate values that live at once; 2^27 of float32 are half a gigabyte.
VALUES_AT_ONCE = 2**27


def score_in_chunks(score: Callable[[Features, Features], Tensor], text: Features, visual: Features,
                    values_per_pair: int) -> Tensor:
    """``score(text, visual)``, ``(N, M)``, for a few texts at a time.

    In training a chunk's intermediate values are computed again in the
    backward pass, since autograd would keep those of all chunks.

    Args:
        score: Scores of n texts and M visual items, ``(n, M)``.
        text: Of N texts.
        visual: Of M items.
        values_per_pair: How many values ``score`` keeps for one pair, roughly.
    """
    count = len(text.pooled)
    size = max(1, VALUES_AT_ONCE // (values_per_pair * len(visual.pooled)))
    if size >= count:
        return score(text, visual)
    chunks = (text.rows(slice(start, start + size)) for start in range(0, count, size))
    return torch.cat([checkpoint(score, chunk, visual, use_reentrant=False) for chunk in chunks])
