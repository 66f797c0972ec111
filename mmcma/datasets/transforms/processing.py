"""From frames of any size to the model's input size."""
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from mmcma.datasets.transforms.base import BaseTransform
from mmcma.registry import TRANSFORMS
from mmcma.utils.errors import argument_error

#: A strip longer than this many times its breadth is cut to its middle before it is resized: whole, one pixel by
#: 60,000 would become 9 GB.
_LONGEST = 16


@TRANSFORMS.register_module()
class ResizeCrop(BaseTransform):
    """CLIP's own preprocessing, the same for all frames of a clip.

    The shorter side is resized to ``size``, bicubic and antialiased, and the
    centre is cut out. These are torchvision's values, of PyTorch's resize of uint8;
    Pillow's differ in 0.2 % of the values of real clips, by at most 2 of 255.

    Required Keys: ``frames``, uint8 ``(T, H, W, 3)``; ``frame_mask``, bool ``(T,)``.

    Modified Keys: ``frames``, uint8 ``(T, 3, size, size)``; zeros where the mask is False.

    Args:
        size: Side of the square, pixels.

    Attributes:
        version (int): Another number where the same arguments give other pixels: stored frames and features tell
            by it that they are out of date.
    """
    version = 2

    def __init__(self, *, size: int = 224) -> None:
        if not isinstance(size, int) or size < 1:
            raise argument_error(self, 'size', size, 'must be a whole number of pixels from 1 up.')
        self.size = size

    def transform(self, results: dict) -> dict:
        frames, shown = results['frames'], int(results['frame_mask'].sum())  # padding stands at the end
        resized = np.zeros((len(frames), 3, self.size, self.size), dtype=np.uint8)
        # A copy of what PyTorch cannot wrap: a view that is mirrored or must not be written to.
        pixels = torch.from_numpy(np.require(frames[:shown], requirements=['C', 'W'])).permute(0, 3, 1, 2)
        resized[:shown] = _resize_and_crop(pixels, self.size).numpy()
        results['frames'] = resized
        return results

    def __repr__(self) -> str:
        return f'ResizeCrop(size={self.size})'


def _resize_and_crop(pixels: Tensor, size: int) -> Tensor:
    """uint8 ``(T, 3, H, W)``, fastest where channels lie last in memory -> uint8 ``(T, 3, size, size)``."""
    short = min(pixels.shape[2:])
    pixels = _centre(pixels, min(pixels.shape[2], _LONGEST * short), min(pixels.shape[3], _LONGEST * short))
    # The long side is cut down to whole pixels and the margin rounded, as torchvision does for CLIP.
    height, width = (size * side // short for side in pixels.shape[2:])
    if (height, width) != pixels.shape[2:]:
        pixels = interpolate(pixels, (height, width), mode='bicubic', antialias=True)
    return _centre(pixels, size, size)


def _centre(pixels: Tensor, height: int, width: int) -> Tensor:
    top, left = (round((side - new) / 2) for side, new in zip(pixels.shape[2:], (height, width)))
    return pixels[:, :, top:top + height, left:left + width]
