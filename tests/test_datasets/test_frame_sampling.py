import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from mmcma.datasets.video.sampling import ROUNDING, THINNING, frame_at, sample_frames, thin_randomly

rates = st.floats(0.2, 120)
# Times between frames, seconds: a rate that varies.
gaps = st.lists(st.floats(0.002, 8), max_size=60)


def steady(num_frames, video_fps, *args, **kwargs):
    return sample_frames(np.arange(num_frames) / video_fps, num_frames / video_fps, *args, **kwargs)


def varying(steps):
    return np.append(0.0, np.cumsum(steps))


@given(gaps, st.integers(1, 20), st.none() | rates, st.sampled_from(sorted(THINNING)), st.integers(0, 99))
def test_rising_within_the_file_and_the_limit(steps, limit, fps, sampling, seed):
    times = varying(steps)
    frames = sample_frames(times, times[-1] + 1, limit, fps=fps, sampling=sampling, rng=np.random.default_rng(seed))
    assert frames.dtype == np.int64
    assert 1 <= len(frames) <= limit
    assert 0 <= frames[0] and frames[-1] < len(times)
    assert (np.diff(frames) > 0).all()
    if sampling in ('uniform', 'head', 'clip4clip'):
        assert frames[0] == 0
    if fps is None:
        assert len(frames) == min(limit, len(times))


@given(gaps, rates, st.floats(0, 0.99), st.floats(0.05, 1))
@example([11.71530523, 7.62902545], 47.66322502, 0.0, 0.97481857)  # the last frame begins 0.3 ms before the end
def test_what_is_shown_at_each_moment(steps, fps, start, length):
    """Against looking up one moment after the other."""
    times = varying(steps)
    duration = times[-1] + 0.5
    start, end = start * duration, min(start + length, 1) * duration
    moments = start + np.arange(int((end - start) * fps) + 1) / fps
    begun = [i for i, time in enumerate(times) if time <= start + ROUNDING or time < end - ROUNDING]
    expected = []
    for moment in moments:
        if moment == start or moment < end - ROUNDING:
            shown = max(i for i in begun if times[i] <= moment + ROUNDING)
            if shown not in expected:
                expected.append(shown)
    assert sample_frames(times, duration, 10**6, fps=fps, start=start, end=end).tolist() == expected


def clip4clip_by_cv2(num_frames, rate, limit, sample_fp, start=None, end=None):
    """CLIP4Clip's ``video_to_tensor`` step by step: places that it sets and reads, until there is no frame."""
    fps = int(rate)
    total = (num_frames + fps - 1) // fps
    start_sec, end_sec = (0, total) if start is None else (start, min(end, total))
    interval = 1 if sample_fp == 0 else fps // sample_fp or 1
    inds = list(range(0, fps, interval))[:sample_fp or fps]
    found = []
    for second in range(start_sec, end_sec + 1):
        for ind in inds:
            if second * fps + ind >= num_frames:
                break
            found.append(second * fps + ind)
        else:
            continue
        break
    return found if len(found) <= limit else [found[i] for i in np.linspace(0, len(found) - 1, num=limit, dtype=int)]


@given(st.integers(31, 5000), st.floats(1, 61) | st.sampled_from([29.97, 23.976, 25.0, 12.0]), st.integers(1, 64),
       st.sampled_from([1, 2, 5, None]))
def test_clip4clip_at_rates_that_are_not_whole(num_frames, rate, limit, fps):
    assume(rate % 1 < 0.99 and num_frames > 2 * rate)
    expected = clip4clip_by_cv2(num_frames, rate, limit, fps or 0)
    assert steady(num_frames, rate, limit, fps=fps, sampling='clip4clip').tolist() == expected


def test_clip4clip_by_hand():
    """Seconds of 29 frames where 29.97 are shown; parts of a file end with one second more, as its code reads them."""
    assert steady(293, 29.97, 12, sampling='clip4clip').tolist() == [29 * second for second in range(11)]
    assert steady(293, 29.97, 4, sampling='clip4clip').tolist() == [0, 87, 174, 290]
    assert steady(300, 30.0, 12, fps=2.0, sampling='clip4clip', start=2.0, end=4.0).tolist() == \
        clip4clip_by_cv2(300, 30.0, 12, 2, 2, 4) == [60, 75, 90, 105, 120, 135]
    assert steady(7, 0.5, 12, sampling='clip4clip').tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert steady(250, 25.0000001, 12, sampling='clip4clip').tolist() == [25 * second for second in range(10)]


def clip4clip(num_frames, video_fps, limit, slice_framepos):
    """CLIP4Clip's steps one by one, for whole frame rates: a frame each second, then its slice."""
    frames = [second * video_fps for second in range(num_frames) if second * video_fps < num_frames]
    if limit < len(frames):
        if slice_framepos == 0:
            return frames[:limit]
        if slice_framepos == 1:
            return frames[-limit:]
        frames = [frames[i] for i in np.linspace(0, len(frames) - 1, num=limit, dtype=int)]
    return frames


@given(st.integers(1, 5000), st.integers(1, 60), st.integers(1, 64),
       st.sampled_from([('head', 0), ('tail', 1), ('uniform', 2)]))
def test_equals_clip4clip(num_frames, video_fps, limit, policy):
    sampling, slice_framepos = policy
    assert steady(num_frames, video_fps, limit, sampling=sampling).tolist() == \
        clip4clip(num_frames, video_fps, limit, slice_framepos)


def test_by_hand():
    assert steady(293, 29.97, 12).tolist() == [0, 29, 59, 89, 119, 149, 179, 209, 239, 269]
    assert steady(100, 10, 4).tolist() == [0, 30, 60, 90]
    assert steady(100, 10, 4, fps=None).tolist() == [0, 33, 66, 99]
    assert steady(7, 0.5, 12).tolist() == [0, 1, 2, 3, 4, 5, 6]  # slower than one a second
    assert steady(100, 10, 12, start=2.0, end=5.0).tolist() == [20, 30, 40]
    assert steady(100, 10, 12, start=9.55, end=10.0).tolist() == [95]
    assert steady(100, 10, 3, sampling='head').tolist() == [0, 10, 20]
    assert steady(100, 10, 3, sampling='tail').tolist() == [70, 80, 90]


def test_a_rate_that_varies():
    # Ten frames in the first second, then a still of four seconds, then one each half second.
    times = np.concatenate([np.arange(10) / 10, [1.0], 5 + np.arange(5) / 2])
    assert sample_frames(times, 7.5, 12).tolist() == [0, 10, 11, 13, 15]
    assert sample_frames(times, 7.5, 12, start=2.5, end=6.0).tolist() == [10, 12]
    assert frame_at(times, [0.0, 0.95, 4.99, 5.0, 99.0]).tolist() == [0, 9, 10, 11, 15]


def test_milliseconds_are_rounded():
    times = np.round(np.arange(90) / 30, 3)  # as Matroska writes them: frame 20 at 0.667
    assert sample_frames(times, 3.0, 99, fps=3).tolist() == list(range(0, 90, 10))


@given(st.integers(2, 400), st.integers(1, 64), st.integers(0, 2**31 - 1))
def test_random_takes_one_from_each_segment(count, limit, seed):
    limit = min(limit, count - 1)
    picked = thin_randomly(count, limit, np.random.default_rng(seed))
    assert [int(place * limit + limit - 1) // count for place in picked] == list(range(limit))
    assert (picked == thin_randomly(count, limit, np.random.default_rng(seed))).all()


def test_random_reaches_every_frame():
    rng = np.random.default_rng(0)
    assert {int(i) for _ in range(200) for i in thin_randomly(10, 4, rng)} == set(range(10))


@pytest.mark.parametrize('part, message', [
    (dict(start=12.0), 'start 12 s is beyond its end at 10 s'),
    (dict(start=10.0), 'start 10 s is beyond its end at 10 s'),
    (dict(start=-1.0), 'start -1 s is no time in it'), (dict(start=float('nan')), 'start nan s is no time in it'),
    (dict(start=3.0, end=3.0), 'end 3 s is not after start 3 s'),
    (dict(end=float('nan')), 'end nan s is not after start 0 s'),
    (dict(end=11.5), 'end 11.5 s is beyond its end at 10 s')])
def test_no_part_of_the_file(part, message):
    with pytest.raises(ValueError, match=message):
        steady(100, 10, 12, **part)


def test_an_end_that_was_rounded_up():
    assert steady(100, 10, 12, start=8.0, end=11.0).tolist() == [80, 90]
    assert steady(5, 0.5, 12, end=12.0).tolist() == [0, 1, 2, 3, 4]  # one image each two seconds
