"""Cutting videos into moments, and joining what was found of them."""
from collections import namedtuple

import numpy as np
import pytest
from helpers.media import write_video
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mmcma.datasets import open_video
from mmcma.datasets.video.moments import check_plan, cut, scan_parts
from mmcma.utils.errors import ConfigError
from mmcma.utils.spans import Span, join_overlapping, windows

Hit = namedtuple('Hit', 'path start end')


@settings(deadline=None)
@given(st.floats(1e-3, 1e5), st.floats(1, 1e4))
def test_windows_cover_the_file(duration, seconds):
    assume(duration / seconds < 1000)
    found = windows(duration, seconds)
    assert found[0].start == 0 and found[-1].end == duration
    assert all(0 < moment.end - moment.start <= seconds * (1 + 1e-5) for moment in found)
    for before, after in zip(found, found[1:]):  # half overlapping, from the beginning on
        assert after.start == pytest.approx(before.start + seconds / 2) and before.end < after.end
        assert after.start < before.end
    assert all(moment.end - moment.start == pytest.approx(seconds) for moment in found[:-1])
    assert len(found) == 1 or found[-1].end - found[-1].start >= seconds / 2 * (1 - 1e-5)


@pytest.mark.parametrize('duration, expected', [
    (3, [(0, 3)]), (10, [(0, 10)]), (10.5, [(0, 10), (5, 10.5)]), (15, [(0, 10), (5, 15)]),
    (16, [(0, 10), (5, 15), (10, 16)]), (1e-3, [(0, 1e-3)])])
def test_windows_by_hand(duration, expected):
    assert windows(duration, 10) == expected


class Video:
    def __init__(self, duration):
        self.duration = duration


@pytest.mark.parametrize('plan, duration, count', [
    ('auto', 8, 1), ('auto', 60, 1), ('auto', 61, 12), ('auto', 7200, 1439), ('whole', 7200, 1), ('20', 20, 1),
    ('20', 61, 6), ('2.5', 5, 3)])
def test_plans(plan, duration, count):
    moments = cut(Video(duration), check_plan(plan))
    assert len(moments) == count and moments[0].start == 0 and moments[-1].end == duration


@pytest.mark.parametrize('plan', ['0', '-3', 'nan', 'inf', '0.5', 'shot', '', 'ten'])
def test_plans_that_are_none(plan):
    with pytest.raises(ConfigError, match=f"moments '{plan}': give a number of seconds from 1 up, 'shots' or 'whole'"):
        check_plan(plan)
    assert check_plan(10) == check_plan('10') == check_plan('10.0') == '10'


def test_shots(tmp_path):
    """Three pictures of 3, 4 and 2 seconds."""
    pytest.importorskip('scenedetect')
    x, y = np.meshgrid(np.arange(64), np.arange(48))
    pictures = [x * 4, 255 - y * 5, np.where((x // 8 + y // 8) % 2, 250, 5)]
    path = write_video(tmp_path / 'a.mp4', num_frames=90,
                       paint=lambda number: pictures[(number >= 30) + (number >= 70)].astype(np.uint8))
    with open_video(path) as video:
        moments = cut(video, check_plan('shots'))
    assert [moment.start for moment in moments] == pytest.approx([0, 3, 7], abs=0.13)
    assert [moment.end for moment in moments] == pytest.approx([3, 7, 9], abs=0.13)


def test_times_are_written_as_people_read_them():
    assert str(Span(2480, 2490)) == '0:41:20–0:41:30'
    assert str(Span(0, 3600.2)) == '0:00:00–1:00:01'


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 19), min_size=1, max_size=5, unique=True).map(sorted), min_size=1,
                max_size=8), st.sets(st.integers(0, 19), max_size=3))
def test_parts_are_those_of_reading_each(parts, broken):
    class Numbers:
        held = 0

        def scan(self, indices, convert):
            assert list(indices) == sorted(set(sum(parts, [])))
            for index in indices:
                yield index, ValueError(index) if index in broken else convert(index)

    found = dict(scan_parts(Numbers(), [np.array(part) for part in parts], str))
    assert found.keys() == set(range(len(parts)))
    for number, part in enumerate(parts):
        faults = [index for index in part if index in broken]
        assert found[number].args == (faults[0],) if faults else found[number] == [str(index) for index in part]


def test_frames_are_let_go(tmp_path):
    """Of half overlapping parts those of two are held, however many there are."""
    class Frame:
        alive = most = 0

        def __init__(self, frame):
            Frame.alive += 1
            Frame.most = max(Frame.most, Frame.alive)

        def __del__(self):
            Frame.alive -= 1

    parts = [np.arange(start, start + 10) for start in range(0, 91, 5)]
    with open_video(write_video(tmp_path / 'a.mp4', num_frames=100)) as video:
        for _, frames in scan_parts(video, parts, Frame):
            del frames
    assert Frame.most <= 16


def test_overlapping_hits_are_joined():
    found = [Hit('a', 5, 15), Hit('a', 0, 10), Hit('b', 0, 10), Hit('a', 10, 20), Hit('a', 15, 25), Hit('a', 30, 40),
             Hit('c', 0, 0), Hit('a', 35, 45)]
    assert join_overlapping(found) == [Hit('a', 5, 15), Hit('b', 0, 10), Hit('a', 15, 25), Hit('a', 30, 40),
                                       Hit('c', 0, 0)]
    assert join_overlapping(found, per_file=1) == [Hit('a', 5, 15), Hit('b', 0, 10), Hit('c', 0, 0)]


@settings(deadline=None)
@given(st.lists(st.builds(Hit, st.sampled_from('ab'), st.integers(0, 20), st.integers(21, 30)) |
                st.builds(lambda path, start: Hit(path, start, start + 3), st.sampled_from('ab'), st.integers(0, 20))),
       st.none() | st.integers(1, 3))
def test_joined_hits(found, per_file):
    """The best stands, no two overlap, and what is gone overlaps a better one or stands behind enough of its file."""
    joined = join_overlapping(found, per_file)
    assert joined[:1] == found[:1] and [hit for hit in found if hit in joined][:1] == joined[:1]

    def overlap(one, other):
        return one.path == other.path and min(one.end, other.end) > max(one.start, other.start)
    assert not any(overlap(one, other) for place, one in enumerate(joined) for other in joined[:place])
    for hit in set(found) - set(joined):
        of_file = [other for other in joined if other.path == hit.path]
        assert any(overlap(hit, other) for other in of_file) or len(of_file) == per_file
