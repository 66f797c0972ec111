"""Features of several batches as those of one."""
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from mmcma.structures import Features


def joined(batches: Sequence[Features]) -> Features:
    """All rows in order; sequences of different length are padded with zeros, which the mask marks.

    Args:
        batches: One or more, alike in which fields they have.

    Returns:
        ``pooled`` ``(N, D)``; where the batches have tokens, ``tokens`` ``(N, L, D)``, L the longest of
        theirs, and ``mask`` ``(N, L)``.
    """
    pooled = torch.cat([batch.pooled for batch in batches])
    if batches[0].tokens is None:
        return Features(pooled)
    length = max(batch.tokens.shape[1] for batch in batches)
    tokens = [F.pad(batch.tokens, (0, 0, 0, length - batch.tokens.shape[1])) for batch in batches]
    masks = [F.pad(_mask(batch), (0, length - batch.tokens.shape[1])) for batch in batches]
    return Features(pooled, torch.cat(tokens), torch.cat(masks))


def _mask(batch: Features) -> Tensor:
    if batch.mask is not None:
        return batch.mask
    return torch.ones(batch.tokens.shape[:2], dtype=torch.bool, device=batch.tokens.device)
