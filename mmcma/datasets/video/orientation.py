"""Turning frames upright by the display matrix that a container keeps beside them."""
from typing import Any

import numpy as np

#: Of a turn's or mirroring's larger part: so much may the other be, from rounding.
TOLERANCE = 0.01


def upright(image: np.ndarray, matrix: bytes | None) -> np.ndarray:
    """An image ``(H, W, 3)`` as it is to be shown.

    A pixel at ``(x, y)``, to the right and down, is shown at ``(a x + c y, b x + d y)`` (ISO 14496-12, section 6.2.2).
    Only the signs count: what a matrix stretches by is not a turn.

    Args:
        image: As it is stored.
        matrix: ``a, b, u, c, d, v, x, y, w``, native int32 each; None leaves it as it is.

    Raises:
        ValueError: When it turns by no whole quarter.
    """
    if matrix is None:
        return image
    a, b, _, c, d = (int(value) for value in np.frombuffer(matrix, dtype=np.int32)[:5])
    if not (a or b or c or d):  # written by nobody who means it
        return image
    if a and d and max(abs(b), abs(c)) <= TOLERANCE * min(abs(a), abs(d)):
        return image[::1 if d > 0 else -1, ::1 if a > 0 else -1]
    if b and c and max(abs(a), abs(d)) <= TOLERANCE * min(abs(b), abs(c)):
        return image.swapaxes(0, 1)[::1 if b > 0 else -1, ::1 if c > 0 else -1]
    degrees = np.degrees(np.arctan2(b, a))
    raise ValueError(f'its display matrix turns by {degrees:.0f} degrees, and only quarter turns and mirror images are '
                     'read; ffmpeg -i IN OUT writes it as it is shown')


def display_matrix(frame: Any) -> bytes | None:
    """That of a frame of PyAV."""
    data = frame.side_data.get('DISPLAYMATRIX')
    return None if data is None else bytes(data)
