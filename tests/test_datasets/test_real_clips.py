"""Real files, where MMCMA_SHARED_DATA points to them."""
from glob import glob

import av
import numpy as np
import pytest
from helpers.media import SHARED, needs_shared_data

from mmcma.datasets import LoadVideoFrames, open_video
from mmcma.datasets.video.sampling import sample_frames
from mmcma.utils.errors import MediaError

pytestmark = needs_shared_data
BROKEN = f'{SHARED}/broken_videos'


def decode(path, backend='auto', limit=12, indices=None, **part):
    with open_video(path, backend) as video:
        if indices is None:
            indices = sample_frames(video.timestamps, video.duration, limit, **part)
        return video.get_batch(indices)


@pytest.mark.slow
def test_backends_agree_on_every_clip(record_property):
    paths = sorted(glob(f'{SHARED}/clips/*/*.*'))
    assert len(paths) == 83
    differences = {}
    for path in paths:
        # Four from the first two seconds: decord decodes all in between.
        frames = [decode(path, backend, limit=4, fps=2, end=2.0).astype(int) for backend in ('pyav', 'decord')]
        assert frames[0].shape == frames[1].shape
        differences[path.rsplit('/', 1)[1]] = float(np.abs(frames[0] - frames[1]).mean())
    worst = max(differences, key=differences.get)
    mean = sum(differences.values()) / len(differences)
    record_property('mean_absolute_difference', mean)
    print(f'{len(paths)} clips: mean absolute difference {mean:.4f} of 255, worst {differences[worst]:.4f} in {worst}')
    assert differences[worst] < 1


@pytest.mark.parametrize('clip', [
    'MSVD/BtQtRGI0F2Q_15_20.avi', 'MSVD/J---aiyznGQ_0_6.avi', 'MSVD/6JnGBs88sL0_4_10.avi', 'MSR-VTT/video0.mp4'])
@pytest.mark.parametrize('backend', ['pyav', 'decord'])
def test_frame_by_frame(clip, backend):
    """Against decoding all frames in a row."""
    path = f'{SHARED}/clips/{clip}'
    with open_video(path, backend) as video:
        indices = sample_frames(video.timestamps, video.duration, 6)
        frames = video.get_batch(indices)
    with av.open(path) as container:
        whole = [frame.to_ndarray(format='rgb24') for frame in container.decode(video=0)]
    assert len(whole) == video.num_frames
    assert all((frame == whole[index]).all() for frame, index in zip(frames, indices))


@pytest.mark.slow
def test_skipping_what_lies_between_changes_nothing():
    for path in sorted(glob(f'{SHARED}/clips/*/*.*')):
        with open_video(path, 'pyav') as video:
            indices = sample_frames(video.timestamps, video.duration, 12)
            frames = dict(zip(indices.tolist(), video.get_batch(indices)))
        with av.open(path) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number in frames:
                    assert (frame.to_ndarray(format='rgb24') == frames.pop(number)).all(), (path, number)
        assert not frames


@pytest.mark.parametrize('name, shape, fps, duration', [
    ('animated.gif', (2, 150, 200, 3), 33.3, 1.26), ('clip.webm', (2, 150, 200, 3), 33.3, 1.26),
    ('lowfps.mp4', (12, 1080, 1920, 3), 15, 30),
    ('rotated_90.mov', (1, 568, 320, 3), 30, 0.1), ('unordered.mov', (1, 50, 50, 3), 32, 0.125)])
def test_odd_but_readable(name, shape, fps, duration):
    assert decode(f'{BROKEN}/{name}').shape == shape
    with open_video(f'{BROKEN}/{name}') as video:
        assert video.fps == pytest.approx(fps, rel=0.02) and video.duration == pytest.approx(duration, rel=0.02)


@pytest.mark.parametrize('name, message', [
    ('empty.mp4', 'empty.mp4: the file is empty'),
    ('garbage.mp4', r'garbage.mp4: cannot be read \(pyav: no video container')])
def test_unreadable(name, message):
    with pytest.raises(MediaError, match=message):
        LoadVideoFrames()(dict(path=f'{BROKEN}/{name}'))


def test_partly_corrupted():
    """The packet of frame 30 is damaged and no key frame follows: the 22 frames that build on it are not given."""
    path = f'{BROKEN}/partly_corrupted.mp4'
    damaged = []
    for index in range(50):
        try:
            decode(path, 'pyav', indices=[index])
        except MediaError as error:
            assert 'damaged at frame 30 of 50' in str(error)
            damaged.append(index)
    assert damaged == list(range(28, 50))
    with pytest.raises(MediaError, match=r'cannot be read \(pyav: damaged at frame 30 of 50\)'):
        decode(path, indices=[0, 30])
    assert len(decode(path, end=2.5)) == 3


def test_what_decord_cannot_read():
    for name, indices in (('animated.gif', [0]), ('partly_corrupted.mp4', [0, 35])):
        with pytest.raises(MediaError, match='decord: '):
            decode(f'{BROKEN}/{name}', 'decord', indices=indices)


@pytest.mark.parametrize('name', ['rotated_90.mov', 'unordered.mov', 'clip.webm'])
def test_backends_agree_on_odd_files(name):
    frames = [decode(f'{BROKEN}/{name}', backend, fps=None).astype(int) for backend in ('pyav', 'decord')]
    assert frames[0].shape == frames[1].shape and np.abs(frames[0] - frames[1]).mean() < 1
