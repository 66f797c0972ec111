"""From frames of any size to the model's input size."""
import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from mmcma.errors import ConfigError
from mmcma.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ResizeCrop(BaseTransform):
    """CLIP's own preprocessing, the same for all frames of a clip.

    The shorter side is resized to ``size``, bicubic and antialiased, and the
    centre is cut out, with Pillow in the two steps of CLIP. The two quicker ways,
    PyTorch's resize and Pillow's with ``box``, differ from that by up to 2 of 255
    on real clips and by up to 30 on random noise: in Pillow 13 the order of the
    two passes depends on the shape, and each pass clips.

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
        for target, frame in zip(resized[:shown], frames):  # padding stands at the end
            target[:] = self._resize(Image.fromarray(frame)).transpose(2, 0, 1)  # (3, size, size)
        results['frames'] = resized
        return results

    def _resize(self, image: Image.Image) -> np.ndarray:
        short = min(image.size)
        # The long side is cut down to whole pixels and the margin rounded, as torchvision does for CLIP.
        width, height = (self.size * side // short for side in image.size)
        left, top = round((width - self.size) / 2), round((height - self.size) / 2)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
        return np.asarray(image)[top:top + self.size, left:left + self.size]

    def __repr__(self) -> str:
        return f'ResizeCrop(size={self.size})'
