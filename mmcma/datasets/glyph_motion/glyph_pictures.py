"""GlyphPictures: clean still images with plain captions, drawn on the fly.

The world that the small CLIP is pretrained on. GlyphMotion shows the same
glyphs in another style: moving, over textures, described in other words.
"""
from zlib import crc32

import numpy as np
import torch
from torch.utils.data import Dataset

from mmcma.datasets.glyph_motion.captions import with_article
from mmcma.datasets.glyph_motion.glyphs import COLOURS, GLYPHS, glyph_mask, paint
from mmcma.registry import DATASETS
from mmcma.structures import RetrievalSample

_NAMES, _COLOURS = list(GLYPHS), list(COLOURS)
_OPENINGS = ('', '', '', 'there is ', 'a picture of ', 'this is ')


@DATASETS.register_module()
class GlyphPictures(Dataset):
    """Images of one or two glyphs on a plain light background.

    Args:
        length: Number of images; with ``test_mode``, of distinct captions.
        image_size: Side of the square image in pixels.
        pair_share: Probability of two glyphs.
        seed: Image ``i`` depends on ``(seed, i)`` alone.
        test_mode: Draw from another stream and keep the first image of each caption.
    """

    def __init__(self, *, length: int, image_size: int = 64, pair_share: float = 0.4, seed: int = 0,
                 test_mode: bool = False) -> None:
        self.length = length
        self.image_size = image_size
        self.pair_share = pair_share
        self.seed = seed
        self.test_mode = test_mode
        self.metainfo = dict(dataset='GlyphPictures', split='test' if test_mode else 'train')
        self._draws = self._distinct_draws() if test_mode else None

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict:
        """``inputs`` uint8 ``(1, 3, S, S)`` and ``data_samples``; equal captions share an ``item_index``."""
        image, caption = self.draw(index if self._draws is None else self._draws[index])
        sample = RetrievalSample(
            item_id=str(index), item_index=index if self.test_mode else crc32(caption.encode()), path='',
            captions=[caption], frame_mask=torch.ones(1, dtype=torch.bool))
        return dict(inputs=torch.from_numpy(image).permute(2, 0, 1)[None], data_samples=sample)

    def draw(self, index: int) -> tuple[np.ndarray, str]:
        """Image uint8 ``(S, S, 3)`` number ``index`` of the stream, and its caption."""
        # The second word of the seed keeps train and test from drawing the same image.
        rng = np.random.default_rng([self.seed, int(self.test_mode), index])
        canvas = np.empty((self.image_size, self.image_size, 3), np.uint8)
        canvas[:] = rng.integers(215, 256) + rng.integers(-12, 1, size=3)
        scene = self._pair if rng.random() < self.pair_share else self._single
        return canvas, _OPENINGS[rng.integers(len(_OPENINGS))] + scene(rng, canvas)

    def _single(self, rng: np.random.Generator, canvas: np.ndarray) -> str:
        side = self.image_size
        big = rng.random() < 0.5
        size = round(side * (rng.uniform(0.5, 0.75) if big else rng.uniform(0.22, 0.4)))
        x, y = rng.uniform(size / 2, side - size / 2, size=2)
        thing = _thing(rng)
        _paint(rng, canvas, thing, size, (x, y))
        words = f'{thing[0]} {thing[1]}'
        if rng.random() < 0.35:
            words = f'{"big" if big else "small"} {words}'
        place = '' if big or rng.random() < 0.4 else place_in_words(x / side, y / side)
        return with_article(words) + place

    def _pair(self, rng: np.random.Generator, canvas: np.ndarray) -> str:
        side = self.image_size
        first, second = _thing(rng), _thing(rng)
        along = rng.uniform([0.22, 0.70], [0.30, 0.78]) * side
        across = rng.uniform(0.28, 0.72, size=2) * side
        beside = rng.random() < 0.5
        for thing, a, b in zip((first, second), along, across):
            _paint(rng, canvas, thing, round(side * rng.uniform(0.3, 0.46)), (a, b) if beside else (b, a))
        relation, inverse = ('to the left of', 'to the right of') if beside else ('above', 'below')
        if rng.random() < 0.5:
            first, second, relation = second, first, inverse
        if rng.random() < 0.4:
            relation = 'and'
        return f'{with_article(" ".join(first))} {relation} {with_article(" ".join(second))}'

    def _distinct_draws(self) -> list[int]:
        draws: list[int] = []
        captions: set[str] = set()
        number = 0
        while len(draws) < self.length:
            caption = self.draw(number)[1]
            if caption not in captions:
                captions.add(caption)
                draws.append(number)
            number += 1
        return draws


def _thing(rng: np.random.Generator) -> tuple[str, str]:
    return _COLOURS[rng.integers(len(_COLOURS))], _NAMES[rng.integers(len(_NAMES))]


def _paint(rng: np.random.Generator, canvas: np.ndarray, thing: tuple[str, str], size: int,
           centre: tuple[float, float]) -> None:
    colour, name = thing
    shade = np.clip(np.add(COLOURS[colour], rng.integers(-14, 15, size=3)), 0, 255)
    paint(canvas, glyph_mask(name, size, angle=int(rng.integers(-3, 4)) * 4), tuple(shade), centre)


def place_in_words(x: float, y: float) -> str:
    """Words for a position in the image, in fractions of its sides: ``' on the top left'``, ``''`` near its middle."""
    vertical = 'top' if y < 0.38 else 'bottom' if y > 0.62 else ''
    horizontal = 'left' if x < 0.38 else 'right' if x > 0.62 else ''
    place = f'{vertical} {horizontal}'.strip()
    return f' on the {place}' if place else ''
