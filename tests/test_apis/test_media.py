"""Moments of a file in one pass, against the pipeline that reads each moment for itself."""
import numpy as np
import pytest
from helpers.media import write_image, write_video
from helpers.streams import remux

from mmcma.apis.media import moment_clips
from mmcma.registry import TRANSFORMS
from mmcma.utils.errors import MediaError

PIPELINE = [dict(type='LoadVideoFrames', num_frames=3, fps=2.0), dict(type='ResizeCrop', size=32)]


def read_apart(path, moment, pipeline=PIPELINE):
    """The plain way: the moment is an item with start and end."""
    results = dict(path=str(path), start=moment.start, end=moment.end)
    for step in pipeline:
        results = TRANSFORMS.build(dict(step))(results)
    return results


@pytest.mark.parametrize('name', ['closed', 'closed, AVI', 'HEVC, open', 'VP9', 'MPEG-2, open'])
@pytest.mark.parametrize('sampling', ['uniform', 'clip4clip'])
def test_moments_are_those_read_apart(streams, name, sampling):
    path = streams(name)
    pipeline = [dict(PIPELINE[0], sampling=sampling), PIPELINE[1]]
    found = list(moment_clips(path, pipeline, '2'))
    assert [moment for moment, _, _ in found] == [(0, 2), (1, 3), (2, 4), (3, 5), (4, pytest.approx(6))]
    assert {moment.moments for moment in found} == {5}
    for moment, _, clip in found:
        expected = read_apart(path, moment, pipeline)
        assert np.array_equal(clip.frames, expected['frames'])  # to the last bit
        assert clip.mask.tolist() == expected['frame_mask'].tolist()
        assert clip.times.tolist() == expected['frame_times'].tolist() and clip.duration == expected['duration']


@pytest.mark.parametrize('pipeline', [PIPELINE, [dict(PIPELINE[0], sampling='clip4clip'), PIPELINE[1]]])
def test_key_frames_of_moments(streams, pipeline):
    """Where the pipeline looks, each half second, it sees the last key frame."""
    path = streams('closed')  # key frames at 0, 1.2, 2.4, 3.6 and 4.8 s
    times = [clip.times.round(3).tolist() for _, _, clip in moment_clips(path, pipeline, '2', key_frames=True)]
    assert times == [[0, 1.2], [0, 1.2, 2.4], [1.2, 2.4], [2.4, 3.6], [3.6, 4.8]]


def test_damage_costs_the_moments_that_it_reaches(streams, tmp_path):
    path = streams('closed')
    torn = remux(path, tmp_path / 'torn.mp4',
                 change=lambda number, data: data[:40] + bytes(len(data) - 40) if number == 38 else data)
    found = list(moment_clips(torn, PIPELINE, '1'))
    failed = [moment for moment, _, clip in found if isinstance(clip, MediaError)]
    assert failed and all(moment.end > 3.6 and moment.start < 4.8 for moment in failed)
    assert str({moment: clip for moment, _, clip in found}[failed[0]]).startswith(f'{torn}: cannot be read at 0:00:0')
    for moment, _, clip in found:
        if moment not in failed:
            assert np.array_equal(clip.frames, read_apart(path, moment)['frames'])


def test_images_and_short_clips_are_one_moment(tmp_path):
    (moment, _, clip), = moment_clips(write_image(tmp_path / 'a.png'), PIPELINE, 'auto')
    assert moment == (0, 0) and clip.duration == 0 and clip.frames.shape == (1, 3, 32, 32)
    video = write_video(tmp_path / 'a.mp4')
    (moment, _, clip), = moment_clips(video, PIPELINE, 'auto')
    assert moment == (0, pytest.approx(3)) and np.array_equal(clip.frames, read_apart(video, moment)['frames'])


def test_what_cannot_be_opened(tmp_path):
    (tmp_path / 'a.mp4').write_bytes(b'no video')
    with pytest.raises(MediaError, match='a.mp4: cannot be read'):
        list(moment_clips(tmp_path / 'a.mp4', PIPELINE, 'auto'))
