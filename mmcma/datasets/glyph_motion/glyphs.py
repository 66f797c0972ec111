"""Pictographic glyphs of the DejaVu Sans font as drawing material.

GlyphMotion (clips) and GlyphPictures (stills) draw with the same glyphs and
colours, so that the small CLIP, pretrained on the stills, has something to
transfer to the clips. The font travels with matplotlib; the names are the
glyphs' Unicode names, shortened to what a person would say.
"""
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

#: Spoken name -> code point.
GLYPHS = {
    'house': 0x2302, 'keyboard': 0x2328, 'sun': 0x2600, 'cloud': 0x2601,
    'umbrella': 0x2602, 'snowman': 0x2603, 'comet': 0x2604, 'star': 0x2605,
    'telephone': 0x260E, 'cup of tea': 0x2615, 'shamrock': 0x2618,
    'pointing hand': 0x261B, 'skull': 0x2620, 'radioactive sign': 0x2622,
    'biohazard sign': 0x2623, 'caduceus': 0x2624, 'cross of lorraine': 0x2628,
    'peace symbol': 0x262E, 'yin yang': 0x262F, 'wheel of dharma': 0x2638,
    'frowning face': 0x2639, 'smiling face': 0x263B, 'crescent moon': 0x263E,
    'chess king': 0x265A, 'chess queen': 0x265B, 'chess rook': 0x265C,
    'chess bishop': 0x265D, 'chess knight': 0x265E, 'chess pawn': 0x265F,
    'spade': 0x2660, 'club': 0x2663, 'heart': 0x2665, 'diamond': 0x2666,
    'hot springs': 0x2668, 'eighth note': 0x266A, 'beamed notes': 0x266B,
    'recycling symbol': 0x267B, 'wheelchair': 0x267F, 'die': 0x2684,
    'flag': 0x2691, 'hammer and pick': 0x2692, 'anchor': 0x2693,
    'crossed swords': 0x2694, 'scales': 0x2696, 'alembic': 0x2697,
    'flower': 0x2698, 'gear': 0x2699, 'atom symbol': 0x269B,
    'fleur de lis': 0x269C, 'warning sign': 0x26A0, 'lightning': 0x26A1,
    'scissors': 0x2702, 'tape drive': 0x2707, 'airplane': 0x2708,
    'envelope': 0x2709, 'victory hand': 0x270C, 'writing hand': 0x270D,
    'pencil': 0x270E, 'check mark': 0x2714, 'ballot x': 0x2718,
    'maltese cross': 0x2720, 'star of david': 0x2721, 'florette': 0x273F,
    'snowflake': 0x2744, 'floral heart': 0x2766, 'arrow': 0x2794,
    'mouse face': 0x1F42D, 'cow face': 0x1F42E, 'cat face': 0x1F431,
    'monkey face': 0x1F435, 'benzene ring': 0x232C, 'urn': 0x26B1,
}

#: Colour name -> RGB, 0 to 255.
COLOURS = {
    'red': (214, 32, 32), 'orange': (240, 130, 20), 'yellow': (228, 200, 20),
    'green': (30, 150, 50), 'blue': (35, 70, 215), 'purple': (130, 40, 170),
    'pink': (245, 120, 180), 'black': (20, 20, 20),
}

_MASTER_SIZE = 128  # pixels; every drawn size is a reduction of this one


def font_file() -> Path:
    """DejaVu Sans, which travels with matplotlib: imported here, since only drawing needs it."""
    import matplotlib
    return Path(matplotlib.get_data_path()) / 'fonts' / 'ttf' / 'DejaVuSans.ttf'


@cache
def _master(name: str) -> Image.Image:
    """The glyph, its longer side filling an 8-bit square of master size."""
    font = ImageFont.truetype(str(font_file()), _MASTER_SIZE)
    char = chr(GLYPHS[name])
    left, top, right, bottom = font.getbbox(char)
    width, height = int(right - left), int(bottom - top)
    ink = Image.new('L', (width, height))
    ImageDraw.Draw(ink).text((-left, -top), char, font=font, fill=255)
    scale = _MASTER_SIZE / max(width, height)
    ink = ink.resize((max(1, round(width * scale)), max(1, round(height * scale))),
                     Image.Resampling.BICUBIC)
    square = Image.new('L', (_MASTER_SIZE, _MASTER_SIZE))
    square.paste(ink, ((_MASTER_SIZE - ink.width) // 2, (_MASTER_SIZE - ink.height) // 2))
    return square


@lru_cache(maxsize=16384)
def glyph_mask(name: str, size: int, angle: int = 0) -> np.ndarray:
    """Coverage of a glyph.

    Args:
        name: A key of :data:`GLYPHS`.
        size: Side of the square in pixels, at least 1; the upright glyph's
            longer side fills it.
        angle: Counter-clockwise rotation in degrees. Corners that leave the
            square are cut.

    Returns:
        Read-only uint8 ``(size, size)``, 0 (background) to 255 (ink).
    """
    image = _master(name)
    if angle % 360:
        image = image.rotate(angle, Image.Resampling.BICUBIC)
    mask = np.asarray(image.resize((size, size), Image.Resampling.BOX))
    mask.flags.writeable = False
    return mask


def paint(canvas: np.ndarray, mask: np.ndarray, rgb: tuple[int, int, int],
          centre: tuple[float, float]) -> None:
    """Lays ``rgb`` through ``mask`` onto ``canvas`` in place, clipped at its edges.

    Args:
        canvas: uint8 ``(H, W, 3)``.
        mask: uint8 ``(h, w)``, the coverage.
        rgb: Colour, 0 to 255 each.
        centre: ``(x, y)`` of the mask's centre on the canvas, in pixels.
    """
    height, width = canvas.shape[:2]
    h, w = mask.shape
    x0, y0 = round(centre[0] - w / 2), round(centre[1] - h / 2)
    left, top = max(x0, 0), max(y0, 0)
    right, bottom = min(x0 + w, width), min(y0 + h, height)
    if left >= right or top >= bottom:
        return
    region = canvas[top:bottom, left:right]
    cover = mask[top - y0:bottom - y0, left - x0:right - x0, None].astype(np.int32)
    blended = region * (255 - cover) + np.asarray(rgb, np.int32) * cover
    canvas[top:bottom, left:right] = (blended + 127) // 255
