"""Moments of long videos: cut, read in one pass, encoded one by one, committed file by file, found and joined."""
import multiprocessing
import random
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.galleries import StandIn, contents, index, killed_at, write_folder
from helpers.media import write_video
from helpers.streams import remux
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcma.apis.media import frame_pipeline
from mmcma.registry import TRANSFORMS
from mmcma.search import Gallery, indexing
from mmcma.search.assembly import Assembly, Encoded, WrittenPart
from mmcma.search.listing import ListedFile
from mmcma.search.reading import Failed
from mmcma.search.rows import Moment
from mmcma.search.writer import Written
from mmcma.utils.errors import ConfigError
from mmcma.utils.spans import Span, windows

SECONDS = 65


def grey(second: float) -> int:
    """Of the long video: dark, and brighter with time."""
    return round(20 + 2.5 * second)


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    folder = write_folder(tmp_path_factory.mktemp('media'), images=2, videos=1)
    write_video(folder / 'long.mp4', num_frames=2 * SECONDS, fps=2, paint=lambda frame: grey(frame / 2))
    return folder


@pytest.fixture(scope='module')
def gallery(folder, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('gallery') / 'gallery'
    report = index(folder, path)
    assert (report.added, report.items, report.moments, report.failed) == (4, 4, 3 + 12, 0)
    return path


def test_moments_are_those_of_files_cut_apart(folder, gallery):
    """The plain way: each window is an item with start and end."""
    found = {place: moment for place, moment in contents(gallery).items() if place[0] == 'long.mp4'}
    assert [(moment.start, moment.end) for _, moment in sorted(found.items())] == windows(SECONDS, 10)
    inferencer = StandIn()
    steps = [TRANSFORMS.build(dict(step)) for step in frame_pipeline(inferencer.model.cfg)]
    for moment in found.values():
        results = dict(path=str(folder / 'long.mp4'), start=moment.start, end=moment.end)
        for step in steps:
            results = step(results)
        assert moment.moments == 12 and moment.duration == SECONDS
        tokens = inferencer.model.encode_visual(
            *(torch.from_numpy(results[name])[None] for name in ('frames', 'frame_mask'))).tokens[0]
        assert np.array_equal(moment.frames, tokens.numpy().astype(np.float16))
        assert moment.times == results['frame_times'].tolist()


def test_hits_are_moments_of_which_no_two_overlap(gallery, folder):
    opened = Gallery(gallery, StandIn())
    hits = opened.search_text(str(grey(32)), k=20)
    long = [hit for hit in hits if hit.path.endswith('long.mp4')]
    assert long[0].start <= 32 <= long[0].end and str(long[0].span) in ('0:00:25–0:00:35', '0:00:30–0:00:40')
    assert all(one.end <= other.start or other.end <= one.start
               for place, one in enumerate(long) for other in long[:place])
    assert len(hits) == len(long) + 3 and len(long) >= 4
    assert {hit.span for hit in hits if hit not in long} == {None}  # pictures and short clips are found whole
    first = opened.search_text(str(grey(32)), k=20, per_file=1)
    assert len(first) == 4 and first[0] == hits[0]


def test_joined_hits_make_room_for_others(gallery, monkeypatch):
    """The first stage is asked again where those of one file fill it."""
    opened, asked = Gallery(gallery, StandIn()), []
    search = opened.moments.search
    monkeypatch.setattr(opened.moments, 'search', lambda vector, limit, **options: asked.append(limit) or search(
        vector, limit, **options))
    hits = opened.search_text(str(grey(32)), k=3, rerank=3, per_file=1)
    assert len(hits) == 3 and len({hit.path for hit in hits}) == 3 and asked == [3, 12]


@pytest.mark.parametrize('rows', [1, 5])
def test_moments_are_written_before_their_file_is_complete(folder, gallery, tmp_path, monkeypatch, rows):
    """Not all of a file is held; what is not committed is not seen."""
    monkeypatch.setattr(indexing, 'ROWS_AT_ONCE', rows)
    held, seen = [], []
    settle = indexing._Indexing._settle
    monkeypatch.setattr(indexing._Indexing, '_settle', lambda self, file: held.append(len(file.rows)) or settle(
        self, file))
    index(folder, tmp_path / 'gallery', progress=lambda progress: seen.append(progress.done / progress.of_all))
    assert contents(tmp_path / 'gallery') == contents(gallery) and max(held) <= rows
    assert len(seen) == 15 and seen == sorted(seen) and seen[-1] == pytest.approx(1)


def test_damage_costs_the_moments_that_it_reaches(folder, gallery, tmp_path):
    (tmp_path / 'media').mkdir()
    path = remux(folder / 'long.mp4', tmp_path / 'media' / 'long.mp4', change=lambda number, data: (
        data[:20] + bytes(len(data) - 20) if number == 72 else data))  # a key frame, of each twelfth
    report = index(tmp_path / 'media', tmp_path / 'gallery')
    assert (report.added, report.items, report.failed) == (1, 1, 0)
    reason = report.failures['long.mp4']
    assert reason.startswith(f'{path}: cannot be read at 0:00:3') and 'moments)' in reason
    found, whole = contents(tmp_path / 'gallery'), contents(gallery)
    assert 0 < len(found) < 12 and report.moments == len(found)
    for place, moment in found.items():
        assert moment.end <= 36 or moment.start >= 42 - 0.5
        assert moment.frames == whole[place].frames
    again = index(tmp_path / 'media', tmp_path / 'gallery')  # it is not forgotten
    assert (again.unchanged, again.failures) == (1, report.failures)
    path.write_bytes((folder / 'long.mp4').read_bytes())
    mended = index(tmp_path / 'media', tmp_path / 'gallery')
    assert (mended.updated, mended.failures, mended.moments) == (1, {}, 12)


def test_another_way_to_cut(folder, gallery, tmp_path):
    for options, message in ((dict(moments=20), 'made with --moments auto and not 20'),
                             (dict(fast=True), 'made without --fast; leave out it'),
                             (dict(moments='shot'), "moments 'shot': give a number")):
        with pytest.raises(ConfigError, match=message):
            index(folder, gallery, **options)
    assert index(folder, gallery, moments='auto').unchanged == 4
    report = index(folder, tmp_path / 'whole', moments='whole', fast=True)
    assert report.moments == 4
    assert contents(tmp_path / 'whole')['long.mp4', 0.0].times == [0.0, 18.0, 36.0, 60.0]  # each twelfth frame
    with pytest.raises(ConfigError, match='made with --fast; add it'):
        index(folder, tmp_path / 'whole')


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 4), st.randoms(use_true_random=False), st.sets(st.integers(0, 8)))
def test_files_are_put_together_in_any_order(count, together, order, broken):
    """Results may come twice, and mixed with those of another file; some of one are written together."""
    results = []
    for path in 'ab':
        found = ListedFile(path, 1, 1)
        results += [Failed(found, f'{number}', count, (Span(number, number + 1),))
                    for number in broken if number < count]
        whole = [moment(path, number, count) for number in range(count) if number not in broken]
        results += [Encoded(found, own) for own in whole[together:]]
        if whole:
            results.append(part(found, whole[:together]))
    results += random.Random(0).choices(results, k=3)
    order.shuffle(results)
    assembly, files = Assembly(), {}
    for result in results:
        file = assembly.take(result)
        if file is not None and file.complete:
            assert file.found.path not in files
            files[file.found.path] = file
    for path in 'ab':
        rows = files[path].rows + [row for written in files[path].written for row in written.fragments]
        assert sorted(row.start for row in rows) == [number for number in range(count) if number not in broken]
        assert sorted(files[path].faults) == sorted(f'{number}' for number in broken if number < count)
        assert files[path].failed == (not rows) and files[path].seconds == len(rows)


def moment(path: str, number: int, count: int) -> Moment:
    return Moment(path, float(number), number + 1.0, float(count), [0.0], np.zeros((1, 1)), count, '', 0, 0)


def part(found: ListedFile, rows: list[Moment]) -> WrittenPart:
    spans = tuple(Span(row.start, row.end) for row in rows)
    return WrittenPart(found, rows[0].moments, spans, Written(1, {}, list(rows), len(rows)))


def test_rows_that_were_written_with_others_are_not_taken_twice():
    """What was encoded again comes in other company; the file is not complete, and nothing of it doubled."""
    found, rows = ListedFile('a', 1, 1), [moment('a', number, 3) for number in range(3)]
    assembly = Assembly()
    first = assembly.take(part(found, rows[:2]))
    assert first is not None and first.share == pytest.approx(2 / 3)
    assert assembly.take(part(found, rows[1:])) is None and not first.complete
    whole = assembly.take(part(found, rows[2:]))
    assert whole is first and whole.complete
    assert [row for written in whole.written for row in written.fragments] == rows


def test_a_file_whose_reader_dies_leaves_nothing(folder):
    found = ListedFile('a', 1, 1)
    assembly = Assembly()
    assembly.take(part(found, [moment('a', 0, 5), moment('a', 1, 5)]))
    assembly.take(Encoded(found, moment('a', 2, 5)))
    file = assembly.take(Failed(found, 'the process died'))
    assert file.complete and file.failed and file.faults == ['the process died']
    assert assembly.take(Encoded(found, moment('a', 4, 5))) is None


@pytest.mark.slow
@pytest.mark.parametrize('step', [4, 6, 9])
def test_killed_in_the_midst_of_a_long_video(folder, gallery, tmp_path, step):
    """Some of its moments are written and none is in the gallery; the next run ends as an unbroken one."""
    context = multiprocessing.get_context('forkserver')  # its children have no threads of Lance
    context.set_forkserver_preload(['mmcma.search', 'mmcma.models'])
    child = context.Process(target=killed_at, args=(step, folder, tmp_path / 'gallery'))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    report = index(folder, tmp_path / 'gallery')
    assert report.added > 0 and contents(tmp_path / 'gallery') == contents(gallery)
