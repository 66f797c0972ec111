"""From frames of any size to the model's input size."""
import numpy as np
import torch
import torch.nn.functional as F
from mmcv.transforms import BaseTransform

from ...errors import ConfigError
from ...registry import TRANSFORMS


@TRANSFORMS.register_module()
class ResizeCrop(BaseTransform):
    """CLIP's own preprocessing, the same for all frames of a clip.

    The shorter side is resized to ``size``, bicubic and antialiased, and the
    centre is cut out. PyTorch's resize of uint8 pictures follows Pillow's
    algorithm, equals it within 1 of 255, and takes a quarter of the time.

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
        resized = np.zeros((len(frames), 3, self.size, self.size), dtype=np.uint8)
        resized[:shown] = self._resize(frames[:shown])  # padding stands at the end
        results['frames'] = resized
        return results

    def _resize(self, frames: np.ndarray) -> np.ndarray:
        height, width = frames.shape[1:3]
        short = min(height, width)
        # The long side is cut down to whole pixels, as torchvision does for CLIP.
        new_height, new_width = self.size * height // short, self.size * width // short
        top, left = round((new_height - self.size) / 2), round((new_width - self.size) / 2)
        pixels = torch.from_numpy(frames).permute(0, 3, 1, 2)  # (T, 3, H, W), channels last in memory
        if (new_height, new_width) != (height, width):
            pixels = F.interpolate(pixels, size=(new_height, new_width), mode='bicubic', antialias=True)
        return pixels[:, :, top:top + self.size, left:left + self.size].numpy()

    def __repr__(self) -> str:
        return f'ResizeCrop(size={self.size})'
