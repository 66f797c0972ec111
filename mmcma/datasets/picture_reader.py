"""Pictures from files."""
from pathlib import Path

import numpy as np

from mmcma.errors import MediaError


def read_image(path: str | Path) -> np.ndarray:
    """One picture as uint8 RGB ``(H, W, 3)``, turned upright by its EXIF mark.

    Raises:
        MediaError: When it is missing or damaged.
    """
    from PIL import Image, ImageOps
    try:
        with Image.open(path) as image:
            return np.array(ImageOps.exif_transpose(image).convert('RGB'))
    except FileNotFoundError:
        raise MediaError(f'{path}: no such file') from None
    except Exception as error:  # Pillow's plugins raise OSError, SyntaxError, struct.error and others
        raise MediaError(f'{path}: not a readable picture ({error})') from error
