import numpy as np
import pytest

from mmcma.datasets import GlyphPictures
from mmcma.datasets.glyph_motion.glyphs import COLOURS, GLYPHS, glyph_mask, paint


def test_an_image_depends_on_seed_and_number_alone():
    first, second = GlyphPictures(length=10), GlyphPictures(length=1000)
    for number in (7, 3):
        a, b = first.draw(number), second.draw(number)
        assert np.array_equal(a[0], b[0]) and a[1] == b[1]
    assert not np.array_equal(first.draw(3)[0], GlyphPictures(length=10, seed=1).draw(3)[0])


def test_test_images_are_no_training_images_and_have_distinct_captions():
    train, test = GlyphPictures(length=300), GlyphPictures(length=300, test_mode=True)
    seen = {train.draw(number)[0].tobytes() for number in range(300)}
    samples = [test[number] for number in range(300)]
    assert not any(sample['inputs'][0].permute(1, 2, 0).numpy().tobytes() in seen for sample in samples)
    assert len({sample['data_samples'].captions[0] for sample in samples}) == 300
    assert [sample['data_samples'].item_index for sample in samples] == list(range(300))


def test_equal_captions_are_positives_of_each_other():
    by_caption = {}
    for sample in map(GlyphPictures(length=1000).__getitem__, range(1000)):
        sample = sample['data_samples']
        by_caption.setdefault(sample.captions[0], set()).add(sample.item_index)
    assert all(len(indices) == 1 for indices in by_caption.values()) and len(by_caption) < 1000


def test_captions_tell_the_truth():
    """Colours named are the colours painted, and the glyph named is the one that is there."""
    images = GlyphPictures(length=1, pair_share=0.0)
    for number in range(60):
        image, caption = images.draw(number)
        colour = next(name for name in COLOURS if f' {name} ' in f' {caption} ')
        assert any(f'{colour} {name}' in caption for name in GLYPHS), caption
        distances = {name: np.abs(image.astype(int) - rgb).max(axis=-1) for name, rgb in COLOURS.items()}
        assert min(distances, key=lambda name: distances[name].min()) == colour, caption
        distance = distances[colour]
        if ' on the ' in caption and 'left' in caption:
            assert np.nonzero(distance <= 40)[1].mean() < 32, caption


@pytest.mark.parametrize('name', GLYPHS)
def test_every_glyph_has_ink_that_differs_from_all_others(name):
    mask = glyph_mask(name, 32).astype(int)
    assert mask.max() > 200 and 0.02 < (mask > 128).mean() < 0.9
    for other in GLYPHS:
        if other != name:
            assert np.abs(mask - glyph_mask(other, 32)).mean() > 4, other


def test_painting_is_clipped_at_the_edges():
    canvas = np.zeros((8, 8, 3), np.uint8)
    paint(canvas, np.full((4, 4), 255, np.uint8), (10, 20, 30), (0, 0))
    assert (canvas[:2, :2] == (10, 20, 30)).all() and canvas[2:].max() == canvas[:, 2:].max() == 0
    paint(canvas, np.full((4, 4), 255, np.uint8), (1, 1, 1), (100, 100))
    assert canvas.max() == 30
