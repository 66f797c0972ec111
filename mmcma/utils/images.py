"""Images: from files to arrays, and frames side by side as a film strip."""
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from mmcma.utils.errors import MediaError


def read_image(path: str | Path) -> np.ndarray:
    """One image as uint8 RGB ``(H, W, 3)``, turned upright by its EXIF mark.

    Raises:
        MediaError: When it is missing or damaged.
    """
    try:
        with Image.open(path) as image:
            return np.array(ImageOps.exif_transpose(image).convert('RGB'))
    except FileNotFoundError:
        raise MediaError(f'{path}: no such file') from None
    except Exception as error:  # Pillow's plugins raise OSError, SyntaxError, struct.error and others
        raise MediaError(f'{path}: not a readable image ({error})') from error


def film_strip(frames: Tensor, count: int = 4, height: int = 112, gap: int = 3) -> bytes:
    """Evenly spaced frames side by side, from left to right in time, as a JPEG.

    Args:
        frames: uint8 ``(T, 3, H, W)``.
        count: Frames in the strip; all if there are fewer.
        height: Height of the strip, pixels.
        gap: White pixels between frames.
    """
    strip = frame_row(frames[evenly_spaced(len(frames), count)], height, gap)
    buffer = BytesIO()
    strip.save(buffer, 'JPEG', quality=85)
    return buffer.getvalue()


def evenly_spaced(total: int, count: int) -> Tensor:
    """Positions of ``count`` of ``total`` frames, first and last among them; all if there are fewer."""
    return torch.linspace(0, total - 1, min(count, total)).round().long()


def frame_row(frames: Tensor, height: int, gap: int = 3) -> Image.Image:
    """Frames, uint8 ``(T, 3, H, W)``, side by side on white, each ``height`` pixels high."""
    images = [Image.fromarray(frame.permute(1, 2, 0).numpy()) for frame in frames]
    width = round(height * images[0].width / images[0].height)
    row = Image.new('RGB', (len(images) * (width + gap) - gap, height), 'white')
    for number, image in enumerate(images):
        row.paste(image.resize((width, height), Image.Resampling.BICUBIC), (number * (width + gap), 0))
    return row
