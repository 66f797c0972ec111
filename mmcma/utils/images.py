"""Images: from files to arrays, and frames side by side as a film strip."""
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from mmcma.utils.errors import MediaError

#: Formats of Pillow that are read, whatever a file is called. It would start Ghostscript for PostScript.
IMAGE_FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'GIF', 'TIFF', 'AVIF')
#: Tags of TIFF: bits of a value, and whether 0 is white (value 0) or black.
_BITS, _PHOTOMETRIC = 258, 262


def read_image(path: str | Path) -> np.ndarray:
    """One image as uint8 RGB ``(H, W, 3)``, turned upright by its EXIF mark.

    Grey values of 16 bits are scaled: 65535 becomes 255.

    Raises:
        MediaError: When it is missing, damaged, none of ``IMAGE_FORMATS``, or its values are floating-point numbers
            or integers of 32 bits, which have no black and white of their own.
    """
    try:
        # Pillow maps a named TIFF file into memory, with its sides exchanged if it is to be turned.
        with open(path, 'rb') as file, Image.open(file, formats=_formats(path)) as image:
            return np.array(ImageOps.exif_transpose(_with_8_bits(image)).convert('RGB'))
    except FileNotFoundError:
        raise MediaError(f'{path}: no such file') from None
    except Exception as error:  # Pillow's plugins raise OSError, SyntaxError, struct.error and others
        raise MediaError(f'{path}: not a readable image ({error})') from error


def _formats(path: str | Path) -> tuple[str, ...]:
    """The formats that a file may have: HEIF by its name only, since its decoder is a library more.

    Raises:
        ValueError: It is HEIF, and that library is not installed.
    """
    if Path(path).suffix.lower() != '.heic':
        return IMAGE_FORMATS
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        raise ValueError("HEIC needs pillow-heif; install it with pip install 'mmcma[heic]'") from None
    register_heif_opener()
    return (*IMAGE_FORMATS, 'HEIF')


def _with_8_bits(image: Image.Image) -> Image.Image:
    """The image itself, or one with 256 greys in place of 65536; ``convert`` would clip them."""
    if image.mode in ('I', 'F') and image.format != 'PNG':
        kind = 'floating-point numbers' if image.mode == 'F' else '32-bit or signed integers'
        raise ValueError(f'its values are {kind}; save it with 8 or 16 bits')
    if not image.mode.startswith('I'):
        return image
    tags, values = getattr(image, 'tag_v2', {}), np.asarray(ImageOps.exif_transpose(image)).astype(np.int64)
    white = 2 ** tags.get(_BITS, (16,))[0] - 1
    greys = (values * 255 + white // 2) // white
    return Image.fromarray((255 - greys if tags.get(_PHOTOMETRIC) == 0 else greys).astype(np.uint8))


def film_strip(frames: Tensor, count: int = 4, height: int = 160, gap: int = 3) -> bytes:
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
