"""From frames of any size to the model's input size."""
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch.nn.functional import embedding_bag

from mmcma.registry import TRANSFORMS
from mmcma.utils.errors import ConfigError


@TRANSFORMS.register_module()
class ResizeCrop(BaseTransform):
    """CLIP's own preprocessing, the same for all frames of a clip.

    The shorter side is resized to ``size``, bicubic and antialiased, and the
    centre is cut out: bit by bit what Pillow and torchvision give, but only what
    stays after the cut is computed, and each of the two passes is one sum of weighted rows.

    Equality takes Pillow's order of the passes, its rounding and clipping after
    each, and its 22-bit weights. With PyTorch's resize, which has 16 bits, one
    pixel in a million of real clips is off by 2.

    Required Keys: ``frames``, uint8 ``(T, H, W, 3)``; ``frame_mask``, bool ``(T,)``.

    Modified Keys: ``frames``, uint8 ``(T, 3, size, size)``; zeros where the mask is False.

    Args:
        size: Side of the square, pixels.
    """

    def __init__(self, *, size: int = 224) -> None:
        if not isinstance(size, int) or size < 1:
            raise ConfigError(f'ResizeCrop: size={size!r} must be a whole number of pixels')
        self.size = size

    def transform(self, results: dict) -> dict:
        frames, shown = results['frames'], int(results['frame_mask'].sum())
        height, width = frames.shape[1:3]
        short = min(height, width)
        # The long side is cut down to whole pixels and the margin rounded, as torchvision does for CLIP.
        new_height, new_width = self.size * height // short, self.size * width // short
        down = _centre(height, new_height, self.size)
        across = _centre(width, new_width, self.size)
        # Pillow before 13 goes across first always; this concerns images more than twice as high as wide.
        down_first = height - new_height > max(0, 2 * (width - new_width))
        resized = np.zeros((len(frames), 3, self.size, self.size), dtype=np.uint8)
        for target, frame in zip(resized[:shown], frames):  # padding stands at the end
            pixels = frame[down.source, across.source]
            if down_first:
                pixels = cv2.transpose(_resample(cv2.transpose(_resample(pixels, down)), across))
            else:
                pixels = _resample(cv2.transpose(_resample(cv2.transpose(pixels), across)), down)
            cv2.split(pixels, list(target))  # (size, size, 3) -> (3, size, size)
        results['frames'] = resized
        return results

    def __repr__(self) -> str:
        return f'ResizeCrop(size={self.size})'


class _Pass(NamedTuple):
    """How the rows in the middle of a resized image come from those of the original.

    Attributes:
        source: The original rows that matter.
        rows: For each new row those it is made of, counted from ``source.start``: int64 ``(2 size, k)``, twice.
        weights: Theirs, whole multiples of 2^-22: first their multiples of 2^-11, then 2048 times what is left,
            float32 ``(2 size, k)``; None where nothing is resized.
    """
    source: slice
    rows: torch.Tensor | None = None
    weights: torch.Tensor | None = None


@lru_cache(maxsize=64)
def _centre(length: int, new_length: int, size: int) -> _Pass:
    """The ``size`` rows in the middle of ``length`` rows resized to ``new_length``.

    Keys' cubic convolution (IEEE ASSP 29(6), 1981, a = -1/2), stretched by the reduction for antialiasing.
    """
    first = round((new_length - size) / 2)
    if length == new_length:
        return _Pass(slice(first, first + size))
    scale = length / new_length
    stretch = max(scale, 1.0)
    centres = (np.arange(first, first + size) + 0.5) * scale
    starts = np.maximum(np.trunc(centres - 2 * stretch + 0.5), 0).astype(np.int64)
    stops = np.minimum(np.trunc(centres + 2 * stretch + 0.5), length).astype(np.int64)
    rows = starts[:, None] + np.arange((stops - starts).max())  # (size, k)
    x = np.abs((rows - centres[:, None] + 0.5) * (1 / stretch))
    weights = np.where(x < 1, (1.5 * x - 2.5) * x * x + 1, (((x - 5) * x + 8) * x - 4) * -0.5)
    weights[(x >= 2) | (rows >= stops[:, None])] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    units = np.trunc(weights * 2**22 + np.copysign(0.5, weights)).astype(np.int64)
    rows = np.minimum(rows, stops[-1] - 1) - starts[0]
    return _Pass(slice(int(starts[0]), int(stops[-1])), torch.from_numpy(np.tile(rows, (2, 1))),
                 torch.from_numpy(np.concatenate(np.divmod(units, 2048)).astype(np.float32) / 2048))


def _resample(pixels: np.ndarray, by: _Pass) -> np.ndarray:
    """Rows ``by.source`` of an image to the new rows: uint8 ``(n, m, 3)`` -> uint8 ``(size, m, 3)``.

    A sum of float32 whose terms have 24 bits in common is exact: so are both sums, and with them the rounding.
    """
    if by.weights is None:
        return pixels
    table = torch.from_numpy(pixels.reshape(len(pixels), -1).astype(np.float32))
    sums = embedding_bag(by.rows, table, per_sample_weights=by.weights, mode='sum')  # (2 size, 3 m)
    whole, rest = sums.chunk(2)
    total = whole.add_(rest.floor_(), alpha=1 / 2048).add_(0.5).clamp_(0, 255)
    return total.numpy().astype(np.uint8).reshape(-1, *pixels.shape[1:])
