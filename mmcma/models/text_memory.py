"""Texts that are encoded once, however often they come."""
from collections.abc import Callable

import torch
from torch import Tensor

from mmcma.structures import Features
from mmcma.utils.digests import bytes_digest


def caption_keys(token_ids: Tensor, mask: Tensor) -> list[str]:
    """A digest for each of N captions of what the model reads of it: equal for equal ones, in any batch.

    Args:
        token_ids: int64 ``(N, L)``.
        mask: bool ``(N, L)``, False on padding.
    """
    return [bytes_digest(ids[:length].tobytes()) for ids, length in zip(token_ids.cpu().numpy(), _lengths(mask))]


class TextMemory:
    """Features of the texts that were seen; equal ones have the same, to the last bit.

    The rounding of a row depends on the batch around it, so that two encodings of one text may differ.

    Args:
        device: Where features are kept; None for where they are made.
    """

    def __init__(self, device: str | None = None) -> None:
        self._device = device
        self._known: dict[str, Features] = {}

    def features(self, keys: list[str], token_ids: Tensor, mask: Tensor,
                 encode: Callable[[Tensor, Tensor], Features]) -> Features:
        """Features of N captions; ``encode`` gets those that are new, each once.

        Args:
            keys: Theirs, see :func:`caption_keys`.
            token_ids: int64 ``(N, L)``.
            mask: bool ``(N, L)``, False on padding.
            encode: Features of captions from their token ids and mask.
        """
        new = {key: row for row, key in reversed([*enumerate(keys)]) if key not in self._known}
        rows = sorted(new.values())
        if rows:
            encoded = encode(token_ids[rows], mask[rows])
            encoded = encoded if self._device is None else encoded.to(self._device)
            if len(rows) == len(keys) and not self._known and self._device is None:
                return encoded  # nothing to be remembered for
            for place, (row, length) in enumerate(zip(rows, _lengths(mask[rows]))):
                self._known[keys[row]] = encoded.rows(slice(place, place + 1)).cut(length)
        return Features.join([self._known[key] for key in keys])


def _lengths(mask: Tensor) -> list[int]:
    """For each caption the tokens up to its last one that is no padding."""
    return (mask * torch.arange(1, mask.shape[1] + 1, device=mask.device)).amax(dim=1).tolist()
