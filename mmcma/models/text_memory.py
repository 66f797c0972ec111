"""Texts that are encoded once, however often they come."""
from collections.abc import Callable

from torch import Tensor

from mmcma.structures import Features

#: What the model reads of a caption: its tokens without padding, by which equal captions are known.
CaptionKey = tuple[int, ...]


class TextMemory:
    """Features of the texts that were seen; equal ones have the same, to the last bit.

    The rounding of a row depends on the batch around it, so that two encodings of one text may differ.

    Args:
        device: Where features are kept; None for where they are made.
    """

    def __init__(self, device: str | None = None) -> None:
        self._device = device
        self._known: dict[CaptionKey, Features] = {}

    def features(self, keys: list[CaptionKey], token_ids: Tensor, mask: Tensor,
                 encode: Callable[[Tensor, Tensor], Features]) -> Features:
        """Features of N captions; ``encode`` gets those that are new, each once.

        Args:
            keys: The N captions' own.
            token_ids: int64 ``(N, L)``.
            mask: bool ``(N, L)``, False on padding.
            encode: Features of captions from their token ids and mask.
        """
        new = {key: row for row, key in reversed([*enumerate(keys)]) if key not in self._known}
        rows = sorted(new.values())
        if rows:
            encoded = encode(token_ids[rows], mask[rows])
            encoded = encoded if self._device is None else encoded.to(self._device)
            if len(rows) == len(keys) and self._device is None:
                return encoded  # nothing came twice, and nothing is to be remembered
            for place, row in enumerate(rows):
                self._known[keys[row]] = encoded.rows(slice(place, place + 1)).cut(len(keys[row]))
        return Features.join([self._known[key] for key in keys])
