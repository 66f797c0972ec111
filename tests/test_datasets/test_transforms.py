from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.media import SHARED, needs_shared_data, shade, write_image, write_video
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from mmcma.datasets import LoadImage, LoadVideoFrames, PackRetrievalInputs, ResizeCrop
from mmcma.structures import RetrievalSample
from mmcma.utils.errors import ConfigError, MediaError


def clip_preprocess(frame: np.ndarray, size: int) -> np.ndarray:
    """CLIP's resize and centre crop with Pillow, as torchvision does them: (H, W, 3) -> (3, size, size).

    In two steps, rows first: from version 13 on Pillow begins with the columns of some images by itself.
    """
    height, width = frame.shape[:2]
    short = min(height, width)
    new = (int(size * width / short), int(size * height / short))
    left, top = int(round((new[0] - size) / 2.0)), int(round((new[1] - size) / 2.0))
    image = Image.fromarray(frame).resize((new[0], height), Image.BICUBIC).resize(new, Image.BICUBIC)
    return np.asarray(image.crop((left, top, left + size, top + size))).transpose(2, 0, 1)


def resized(frames: np.ndarray, size: int) -> np.ndarray:
    return ResizeCrop(size=size)(dict(frames=frames, frame_mask=np.ones(len(frames), dtype=bool)))['frames']


def assert_near_pillow(frames: np.ndarray, size: int) -> None:
    """PyTorch's weights have fewer bits than Pillow's."""
    found = resized(frames, size)
    expected = np.stack([clip_preprocess(frame, size) for frame in frames])
    assert found.shape == (len(frames), 3, size, size) and found.dtype == np.uint8
    assert np.abs(found.astype(int) - expected).max() <= 2


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 200), st.integers(1, 200), st.sampled_from([1, 7, 16, 64, 96]), st.booleans(),
       st.integers(0, 2**31 - 1))
def test_resize_is_clips(height, width, size, saturated, seed):
    assume(max(height, width) <= 16 * min(height, width))
    frames = np.random.default_rng(seed).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    assert_near_pillow(np.where(frames < 128, 0, 255).astype(np.uint8) if saturated else frames, size)


@pytest.mark.parametrize('height, width, size', [
    (240, 320, 224), (320, 240, 224), (720, 1280, 224), (500, 200, 96), (448, 448, 224), (100, 80, 224), (1, 1, 8),
    (224, 300, 224), (300, 224, 224), (3, 48, 2)])
@pytest.mark.parametrize('steps', [2, 16])
def test_resize_of_even_steps_is_clips(height, width, size, steps):
    """Where rows repeat and values fall halfway between two, a rounding error would hit whole rows."""
    pattern = np.add.outer(np.arange(height) // 2, np.arange(width) // steps)[..., None] * [1, 3, 127]
    assert_near_pillow((pattern % 256).astype(np.uint8)[None], size)


@needs_shared_data
@pytest.mark.parametrize('size', [64, 224])
def test_resize_of_real_clips_is_clips(size):
    for path in sorted(Path(SHARED, 'clips').glob('*/*.*'))[::8]:
        results = LoadVideoFrames()(dict(path=str(path)))
        assert_near_pillow(results['frames'][results['frame_mask']], size)


@needs_shared_data
def test_resize_of_real_photos_is_clips():
    for path in sorted(Path(SHARED, 'flickr8k').rglob('*.jpg'))[::100]:
        assert_near_pillow(LoadImage()(dict(path=str(path)))['frames'], 224)


def test_resize_is_torchvisions():
    functional = pytest.importorskip('torchvision.transforms.v2.functional')
    for height, width in ((240, 320), (719, 405), (100, 80), (31, 480)):
        frames = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
        whole = functional.resize(torch.from_numpy(frames).permute(0, 3, 1, 2), 224,
                                  functional.InterpolationMode.BICUBIC)
        np.testing.assert_array_equal(resized(frames, 224), functional.center_crop(whole, 224))


def test_no_resize_where_the_size_fits():
    frames = np.random.default_rng(0).integers(0, 256, (1, 32, 40, 3), dtype=np.uint8)
    assert (resized(frames, 32)[0] == frames[0, :, 4:36].transpose(2, 0, 1)).all()


@pytest.mark.parametrize('view', [lambda frames: frames[:, :, ::-1], lambda frames: np.rot90(frames, axes=(1, 2)),
                                  lambda frames: np.frombuffer(frames.tobytes(), np.uint8).reshape(frames.shape)])
def test_frames_may_be_a_view(view, recwarn):
    frames = view(np.random.default_rng(0).integers(0, 256, (2, 20, 30, 3), dtype=np.uint8))
    assert (resized(frames, 8) == resized(frames.copy(), 8)).all() and not recwarn.list


def test_of_a_strip_the_middle_is_seen():
    """Resized as a whole it would take gigabytes."""
    strip = np.zeros((1, 3, 60_000, 3), dtype=np.uint8)
    strip[:, :, 29_990:30_010] = 200
    assert (resized(strip, 224) == 200).all()
    assert (resized(strip.transpose(0, 2, 1, 3), 224) == 200).all()


def test_short_clip_is_padded(tmp_path):
    path = write_video(tmp_path / 'a.mp4', num_frames=30, fps=10)
    results = ResizeCrop(size=32)(LoadVideoFrames(num_frames=5)(dict(path=str(path))))
    assert results['frame_mask'].tolist() == [True, True, True, False, False]
    greys = results['frames'].astype(int).mean(axis=(1, 2, 3))
    assert np.abs(greys - [shade(0), shade(10), shade(20), 0, 0]).max() <= 4
    assert not results['frames'][3:].any()


def test_start_and_end(tmp_path):
    path = write_video(tmp_path / 'a.mp4', num_frames=30, fps=10)
    results = LoadVideoFrames(num_frames=4, fps=None)(dict(path=str(path), start=1.0, end=1.4))
    greys = results['frames'].astype(int).mean(axis=(1, 2, 3))
    assert np.abs(greys - [shade(i) for i in (10, 11, 12, 13)]).max() <= 4
    with pytest.raises(MediaError, match='a.mp4: start 9 s is beyond its end'):
        LoadVideoFrames()(dict(path=str(path), start=9.0, end=10.0))


def test_image_is_a_clip_of_one_frame(tmp_path):
    results = LoadImage()(dict(path=str(write_image(tmp_path / 'a.jpg', size=(50, 40)))))
    assert results['frames'].shape == (1, 40, 50, 3) and results['frame_mask'].tolist() == [True]


def test_pack():
    results = dict(frames=np.zeros((2, 3, 8, 8), dtype=np.uint8), frame_mask=np.array([True, False]), id='v1',
                   item_index=7, path='v1.mp4', captions=['a', 'b'], caption_kinds=['order', 'event'],
                   start=1.0)
    packed = PackRetrievalInputs(meta_keys=['start'])(results)
    sample = packed['data_samples']
    assert packed['inputs'].shape == (2, 3, 8, 8) and packed['inputs'].dtype == torch.uint8
    assert isinstance(sample, RetrievalSample) and sample.start == 1.0
    assert (sample.item_id, sample.item_index, sample.path) == ('v1', 7, 'v1.mp4')
    assert (sample.captions, sample.caption_kinds) == (['a', 'b'], ['order', 'event'])
    assert sample.frame_mask.tolist() == [True, False]
    assert 'caption_kinds' not in PackRetrievalInputs()(
        {key: value for key, value in results.items() if key != 'caption_kinds'})['data_samples']
    with pytest.raises(ConfigError, match='fps'):
        PackRetrievalInputs(meta_keys=['fps'])(results)


@pytest.mark.parametrize('build', [
    lambda: LoadVideoFrames(num_frames=0), lambda: LoadVideoFrames(fps=0), lambda: LoadVideoFrames(fps=-1.0),
    lambda: LoadVideoFrames(folder_fps=0), lambda: LoadVideoFrames(backend='opencv'),
    lambda: ResizeCrop(size=0)])
def test_values_that_cannot_work(build):
    with pytest.raises(ConfigError):
        build()
