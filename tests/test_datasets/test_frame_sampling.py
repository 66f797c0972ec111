import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmcma.datasets.frame_sampling import sample_frames

rates = st.floats(0.2, 120)


@given(st.integers(1, 20000), rates, st.integers(1, 128), st.none() | rates)
def test_rising_within_the_file_and_the_limit(num_frames, video_fps, limit, fps):
    frames = sample_frames(num_frames, video_fps, limit, fps)
    assert 1 <= len(frames) <= limit
    assert frames[0] == 0 and frames[-1] < num_frames
    assert (np.diff(frames) > 0).all()
    if fps is None:
        assert len(frames) == min(limit, num_frames)


@given(st.integers(1, 5000), rates, st.integers(1, 64), rates, st.floats(0, 100), st.floats(0.01, 100))
def test_a_part_of_the_file(num_frames, video_fps, limit, fps, start, length):
    if start >= (num_frames - 0.5) / video_fps:
        return
    frames = sample_frames(num_frames, video_fps, limit, fps, start, start + length)
    assert len(frames) and (np.diff(frames) > 0).all()
    assert frames[0] / video_fps <= start + 1e-5 < (frames[0] + 1) / video_fps + 2e-5
    assert frames[-1] / video_fps < start + length + 1e-5
    assert frames[-1] < num_frames


def clip4clip(num_frames, video_fps, limit):
    """CLIP4Clip's steps one by one, for whole frame rates: a frame each second, then slice_framepos=2."""
    frames = [second * video_fps for second in range(num_frames) if second * video_fps < num_frames]
    if limit < len(frames):
        frames = [frames[i] for i in np.linspace(0, len(frames) - 1, num=limit, dtype=int)]
    return frames


@given(st.integers(1, 5000), st.integers(1, 60), st.integers(1, 64))
def test_equals_clip4clip(num_frames, video_fps, limit):
    assert sample_frames(num_frames, video_fps, limit).tolist() == clip4clip(num_frames, video_fps, limit)


def test_by_hand():
    assert sample_frames(293, 29.97, 12).tolist() == [0, 29, 59, 89, 119, 149, 179, 209, 239, 269]
    assert sample_frames(100, 10, 4).tolist() == [0, 30, 60, 90]
    assert sample_frames(100, 10, 4, fps=None).tolist() == [0, 33, 66, 99]
    assert sample_frames(7, 0.5, 12).tolist() == [0, 1, 2, 3, 4, 5, 6]  # slower than one a second
    assert sample_frames(100, 10, 12, start=2.0, end=5.0).tolist() == [20, 30, 40]
    assert sample_frames(100, 10, 12, start=9.55, end=99.0).tolist() == [95]


def test_start_beyond_the_end():
    with pytest.raises(ValueError, match='start 12 s is beyond its end at 10 s'):
        sample_frames(100, 10, 12, start=12.0)
