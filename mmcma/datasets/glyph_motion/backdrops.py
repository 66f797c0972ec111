"""Backgrounds of GlyphMotion: muted textures strewn with plain grey shapes that no caption mentions."""
import numpy as np

from mmcma.datasets.glyph_motion.glyphs import COLOURS

_CLEARANCE = 85  # least distance in RGB to every colour that an actor can have
_ACTOR_COLOURS = np.asarray(list(COLOURS.values()), float)


def draw_backdrop(seed: int, size: int) -> np.ndarray:
    """A textured background with two to five small discs, squares and bars.

    Every colour of an actor stands out from it, so siblings can share it.

    Args:
        seed: Decides everything.
        size: Side in pixels.

    Returns:
        uint8 ``(size, size, 3)``.
    """
    rng = np.random.default_rng(seed)
    texture = _TEXTURES[rng.integers(len(_TEXTURES))]
    first = _clear(rng.uniform(150, 240, (32, 1)) + rng.uniform(-22, 22, (32, 3)))
    second = _clear(first + rng.choice([-1, 1], (32, 1)) * rng.uniform(14, 34, (32, 1))
                    + rng.uniform(-10, 10, (32, 3)))
    weight = texture(rng, size)[..., None]  # (size, size, 1), 0 to 1
    canvas = first * weight + second * (1 - weight)
    for _ in range(rng.integers(2, 6)):
        _strew(rng, canvas, _clear(rng.uniform(70, 245, (32, 1)) + rng.uniform(-8, 8, (32, 3))))
    return np.clip(canvas, 0, 255).astype(np.uint8)


def _clear(candidates: np.ndarray) -> np.ndarray:
    """The first of the RGB ``candidates`` ``(n, 3)`` far from all actors' colours, else the farthest."""
    distances = np.linalg.norm(candidates[:, None] - _ACTOR_COLOURS, axis=2).min(1)  # (n,)
    return candidates[np.argmax(np.minimum(distances, _CLEARANCE))]


def _mesh(size: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:size, :size] / size
    return x, y


def _turned(rng: np.random.Generator, size: int) -> np.ndarray:
    x, y = _mesh(size)
    angle = rng.uniform(0, 2 * np.pi)
    return x * np.cos(angle) + y * np.sin(angle)


def _noise(rng: np.random.Generator, size: int) -> np.ndarray:
    """Smooth blotches: a coarse random grid, linearly interpolated."""
    cells = int(rng.integers(6, 20))
    grid = rng.random((cells + 2, cells + 2))
    place = np.arange(size) / size * cells
    low, part = place.astype(int), place % 1
    rows = grid[low] * (1 - part[:, None]) + grid[low + 1] * part[:, None]
    return rows[:, low] * (1 - part) + rows[:, low + 1] * part


def _stripes(rng: np.random.Generator, size: int) -> np.ndarray:
    return ((_turned(rng, size) * rng.uniform(4, 9) + rng.random()) % 1 < 0.5).astype(float)


def _gradient(rng: np.random.Generator, size: int) -> np.ndarray:
    ramp = _turned(rng, size)
    return (ramp - ramp.min()) / (ramp.max() - ramp.min())


def _checks(rng: np.random.Generator, size: int) -> np.ndarray:
    x, y = _mesh(size)
    count, (right, down) = rng.integers(4, 10), rng.random(2)
    return ((x * count + right).astype(int) + (y * count + down).astype(int)) % 2.0


_TEXTURES = (_noise, _stripes, _gradient, _checks)


def _strew(rng: np.random.Generator, canvas: np.ndarray, tone: np.ndarray) -> None:
    """Paints a small disc, square or bar somewhere on ``canvas``, in place."""
    x, y = _mesh(len(canvas))
    (x0, y0), radius, shape = rng.random(2), rng.uniform(0.03, 0.065), rng.integers(3)
    right, down = x - x0, y - y0
    if shape == 0:
        inside = right ** 2 + down ** 2 < radius ** 2
    elif shape == 1:
        inside = np.maximum(abs(right), abs(down)) < radius
    else:
        long, wide = (right, down) if rng.random() < 0.5 else (down, right)
        inside = (abs(long) < 2.2 * radius) & (abs(wide) < 0.4 * radius)
    canvas[inside] = tone
