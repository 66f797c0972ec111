"""Cached frames: equal to decoded ones, whatever the id, and an error wherever they cannot be."""
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.media import write_image, write_video
from hypothesis import given
from hypothesis import strategies as st

from mmcma.datasets import LoadImage, LoadVideoFrames, ResizeCrop
from mmcma.datasets.transforms import LoadCachedFrames
from mmcma.datasets.video.cache import CacheManifest, FrameCache, frame_settings
from mmcma.utils.errors import ConfigError, DataError, MediaError

STEPS = [dict(type='LoadVideoFrames', num_frames=4, fps=2.0), dict(type='ResizeCrop', size=32)]


def new_cache(folder: Path, steps=STEPS, quality=None) -> FrameCache:
    return FrameCache.create(folder, steps, quality=quality, config='a.py')


def decode(item: dict) -> dict:
    return ResizeCrop(size=32)(LoadVideoFrames(num_frames=4, fps=2.0)(dict(item)))


@pytest.mark.parametrize('item', [
    dict(id='whole'), dict(id='a/../b#1', start=0.5, end=2.5), dict(id='one frame', start=1.0, end=1.2)])
def test_cached_frames_are_the_decoded_ones(tmp_path, item):
    item['path'] = str(write_video(tmp_path / 'a.mp4', num_frames=30, fps=10))
    decoded = decode(item)
    new_cache(tmp_path / 'cache').write(item['id'], decoded['frames'][decoded['frame_mask']])
    cached = LoadCachedFrames(cache=str(tmp_path / 'cache'), steps=STEPS)(dict(item))
    for key in ('frames', 'frame_mask'):
        assert cached[key].dtype == decoded[key].dtype
        np.testing.assert_array_equal(cached[key], decoded[key])


def test_image(tmp_path):
    item = dict(id='a', path=str(write_image(tmp_path / 'a.png', grey=7)))
    decoded = ResizeCrop(size=16)(LoadImage()(dict(item)))
    new_cache(tmp_path, [dict(type='LoadImage'), dict(type='ResizeCrop', size=16)]).write('a', decoded['frames'])
    cached = LoadCachedFrames(cache=str(tmp_path))(item)
    assert cached['frame_mask'].tolist() == [True] and (cached['frames'] == decoded['frames']).all()


def test_jpeg_is_near_and_frames_stay_apart(tmp_path):
    ramp = np.linspace(0, 80, 32)[:, None] + np.linspace(0, 80, 32)
    frames = np.stack([ramp + 10 * channel for channel in range(3)]).astype(np.uint8) + \
        np.array([0, 50], dtype=np.uint8)[:, None, None, None]  # (2, 3, 32, 32)
    cache = new_cache(tmp_path, quality=95)
    cache.write('a', frames)
    back = cache.read('a')
    assert back.shape == frames.shape and back.dtype == np.uint8
    error = np.abs(back.astype(int) - frames)
    assert 0 < error.mean() < 1 and error.max() <= 8


@given(st.sets(st.text(min_size=1, max_size=400), min_size=2, max_size=4))
def test_every_id_has_a_file_of_its_own(ids):
    cache = object.__new__(FrameCache)
    cache.folder, cache.manifest = Path('/cache'), CacheManifest({}, 4, 32, None, '')
    try:
        paths = {cache.path(name) for name in ids}
    except UnicodeEncodeError:  # half of a surrogate pair is no text
        return
    assert len(paths) == len(ids)
    assert all(path.parent == Path('/cache/frames') and len(path.name.encode()) < 250 for path in paths)


def test_missing_and_damaged_frames(tmp_path):
    cache = new_cache(tmp_path)
    command = rf'cache_frames.py a.py --out {tmp_path}'
    with pytest.raises(MediaError, match=rf"no frames of item 'v/1'.*{command}"):
        LoadCachedFrames(cache=str(tmp_path))(dict(id='v/1'))
    cache.write('v/1', np.zeros((2, 3, 32, 32), dtype=np.uint8))
    cache.path('v/1').write_bytes(cache.path('v/1').read_bytes()[:-5])
    with pytest.raises(MediaError, match=rf'v%2F1.npy: damaged.*{command}'):
        cache.read('v/1')
    with pytest.raises(DataError, match='no frame cache.*cache_frames.py CONFIG --out'):
        LoadCachedFrames(cache=str(tmp_path / 'nowhere'))


@pytest.mark.parametrize('place, change, message', [
    (0, dict(num_frames=12), r'LoadVideoFrames.num_frames=12.*made with 4'), (0, dict(fps=1.0), r'fps=1.0.*with 2.0'),
    (1, dict(size=64), r'ResizeCrop.size=64.*made with 32')])
def test_other_frames_than_asked_for(tmp_path, place, change, message):
    new_cache(tmp_path)
    steps = [dict(step) for step in STEPS]
    steps[place].update(change)
    with pytest.raises(ConfigError, match=message):
        LoadCachedFrames(cache=str(tmp_path), steps=steps)
    with pytest.raises(ConfigError, match=message):
        new_cache(tmp_path, steps)
    with pytest.raises(ConfigError, match='JPEG quality None and not 90'):
        new_cache(tmp_path, quality=90)


def test_frames_of_another_resize_are_not_taken(tmp_path, monkeypatch):
    new_cache(tmp_path)
    monkeypatch.setattr(ResizeCrop, 'version', ResizeCrop.version + 1)
    with pytest.raises(ConfigError, match=r'ResizeCrop.version=3.*made with 2'):
        LoadCachedFrames(cache=str(tmp_path), steps=STEPS)


def test_settings_hold_the_defaults():
    plain = frame_settings([dict(type='LoadVideoFrames'), dict(type='ResizeCrop')])
    assert plain['LoadVideoFrames.num_frames'] == 12 and plain['ResizeCrop.size'] == 224
    assert plain == frame_settings([dict(type='mmcma.LoadVideoFrames', fps=1.0, timeout=5), dict(type='ResizeCrop')])
    with pytest.raises(ConfigError, match='LoadVideoFrames.*frames_per_second'):
        frame_settings([dict(type='LoadVideoFrames', frames_per_second=1)])
    with pytest.raises(ConfigError, match="no transform 'LoadVideo'"):
        frame_settings([dict(type='LoadVideo')])


def test_frames_that_cannot_be_cached(tmp_path):
    with pytest.raises(ConfigError, match='draws other frames each time'):
        new_cache(tmp_path, [dict(type='LoadVideoFrames', sampling='random'), dict(type='ResizeCrop')])
    with pytest.raises(ConfigError, match='300 frames of 224 pixels.*leave out --jpeg'):
        new_cache(tmp_path, [dict(type='LoadVideoFrames', num_frames=300), dict(type='ResizeCrop')], quality=95)


def test_what_is_written_is_read_back(tmp_path, monkeypatch):
    cache = new_cache(tmp_path)
    monkeypatch.setattr(FrameCache, 'read', lambda self, item_id: np.ones((2, 3, 32, 32), dtype=np.uint8))
    with pytest.raises(OSError, match='not what was written'):
        cache.write('a', np.zeros((2, 3, 32, 32), dtype=np.uint8))
    assert not cache.path('a').exists()


@pytest.mark.slow
def test_no_decoder_is_used_and_nothing_else_that_may_be_absent(tmp_path):
    """All of the package imports without them."""
    new_cache(tmp_path).write('a', np.full((2, 3, 32, 32), 7, dtype=np.uint8))
    code = ('import sys; sys.modules.update(av=None, decord=None, mmcv=None, torchvision=None, mmpretrain=None)\n'
            'import mmcma.datasets, mmcma.models, mmcma.engine, mmcma.evaluation, mmcma.visualization, mmcma.apis\n'
            'from mmcma.registry import MODELS, TRANSFORMS\n'
            'assert MODELS.get("CrossModalRetriever")\n'
            f"load = TRANSFORMS.build(dict(type='LoadCachedFrames', cache={str(tmp_path)!r}, steps={STEPS}))\n"
            "print(load(dict(id='a'))['frames'].mean(axis=(1, 2, 3)).tolist())")
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert run.stdout.strip() == '[7.0, 7.0, 0.0, 0.0]', run.stderr
