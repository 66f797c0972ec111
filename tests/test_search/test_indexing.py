"""A gallery follows its folder, whatever happens on the way."""
import errno
import multiprocessing
import os
import shutil
import signal
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from helpers.galleries import StandIn, contents, index, killed_at, write_folder
from helpers.media import write_image, write_video

from mmcma.datasets.video.backends import BACKENDS
from mmcma.search import Gallery, indexing, lock, writer
from mmcma.search.listing import ListedFile
from mmcma.search.manifest import FORM, GalleryManifest
from mmcma.search.reading import ReadFile
from mmcma.search.tables import lance
from mmcma.utils.errors import ConfigError, DataError, WeightsError


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_folder(tmp_path / 'media')


@pytest.fixture
def indexed(folder, tmp_path) -> Path:
    index(folder, tmp_path / 'gallery')
    return tmp_path / 'gallery'


def files(folder: Path) -> dict:
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob('*') if path.is_file()}


def change(folder: Path) -> None:
    """One file changed, one gone, one with another date alone, three new."""
    write_image(folder / 'images' / '0.png', grey=200)
    (folder / 'v0.mp4').unlink()
    os.utime(folder / 'v1.mp4', ns=(1, 1))
    for number in range(3):
        write_image(folder / 'new' / f'{number}.jpg', grey=150 + number)


def test_a_gallery_follows_its_folder(folder, tmp_path):
    before, steps = files(folder), []
    report = index(folder, tmp_path / 'gallery', progress=lambda step: steps.append(astuple(step)))
    assert (report.added, report.failed, report.items) == (7, 0, 7)
    assert (steps[-1][:3], len(steps)) == ((7, 7, 0), 7) and steps[-1][3] == pytest.approx(steps[-1][4])
    assert files(folder) == before
    report = index(folder, tmp_path / 'gallery')
    assert (report.added, report.unchanged, report.items) == (0, 7, 7)
    change(folder)
    report = index(folder, tmp_path / 'gallery')
    assert (report.added, report.updated, report.deleted, report.unchanged, report.items) == (3, 1, 1, 5, 9)
    index(folder, tmp_path / 'fresh')
    assert contents(tmp_path / 'gallery') == contents(tmp_path / 'fresh')


def test_what_is_stored_of_a_video(indexed):
    video, image = contents(indexed)['v1.mp4', 0.0], contents(indexed)['images/1.png', 0.0]
    assert video.duration == video.end == pytest.approx(1.5) and video.times == [0.0, 0.5, 1.0]
    assert np.shape(video.frames) == (3, 16) and video.moments == 1
    assert (image.duration, image.end, image.times) == (0.0, 0.0, [0.0])


def test_a_video_is_opened_once(folder, monkeypatch):
    opened, reader = [], BACKENDS['pyav']
    monkeypatch.setitem(BACKENDS, 'pyav', lambda path: opened.append(path) or reader(path))
    pipeline = StandIn().model.cfg.test_dataloader.dataset.pipeline
    content, = ReadFile(folder, pipeline)(ListedFile('v1.mp4', 0, 0))
    assert opened == [str(folder / 'v1.mp4')] and content.times == [0.0, 0.5, 1.0] and content.duration == 1.5


def test_videos_under_a_config_of_images(folder, tmp_path):
    inferencer = StandIn()
    inferencer.model.cfg.test_dataloader.dataset.pipeline[0] = dict(type='LoadImage')
    assert index(folder, tmp_path / 'gallery', inferencer).failed == 0
    video = contents(tmp_path / 'gallery')['v1.mp4', 0.0]  # one frame a second
    assert video.duration == pytest.approx(1.5) and video.times == [0.0, 1.0] and np.shape(video.frames) == (2, 16)


def test_files_that_cannot_be_read(folder, tmp_path):
    (folder / 'broken.mp4').write_bytes(b'nothing')
    (folder / '.hidden.png').write_bytes(b'nothing')
    write_image(tmp_path / 'elsewhere.png')
    (folder / 'link.png').symlink_to(tmp_path / 'elsewhere.png')
    Path(os.fsdecode(os.fsencode(folder) + b'/\xff.png')).write_bytes(b'')
    report = index(folder, tmp_path / 'gallery')
    assert (report.added, report.failed) == (7, 3)
    reasons = report.failures
    assert reasons == {row['path']: row['error'] for row in lance.dataset(
        tmp_path / 'gallery' / 'failures.lance').to_table().to_pylist()}
    assert reasons.keys() == {'broken.mp4', 'link.png', '\ufffd.png'}
    assert 'leads out' in reasons['link.png'] and 'UTF-8' in reasons['\ufffd.png']
    write_video(folder / 'broken.mp4')
    (folder / 'images' / '0.png').write_bytes(b'nothing')  # what was known of it is true no longer
    report = index(folder, tmp_path / 'gallery')
    assert (report.added, report.failed, report.items) == (1, 3, 7)
    assert ('images/0.png', 0.0) not in contents(tmp_path / 'gallery')


def test_a_file_that_kills_its_reader(folder, tmp_path, monkeypatch):
    read = ReadFile.__call__
    monkeypatch.setattr(ReadFile, '__call__', lambda self, found: os._exit(3) if found.path == 'v0.mp4' else
                        read(self, found))
    report = index(folder, tmp_path / 'gallery')
    assert (report.added, report.failed) == (6, 1)
    assert 'died' in report.failures['v0.mp4']


def test_an_embedding_that_is_not_finite(folder, tmp_path):
    inferencer = StandIn()
    encode = inferencer.model.encode_visual

    def broken(frames, mask):
        features = encode(frames, mask)
        features.tokens[frames.float().mean(dim=(2, 3, 4)) == 20] = float('nan')
        return features
    inferencer.model.encode_visual = broken
    report = index(folder, tmp_path / 'gallery', inferencer)
    assert (report.added, report.failed) == (6, 1)


@pytest.mark.slow
def test_killed_at_every_step(folder, indexed, tmp_path):
    before = tmp_path / 'before'
    indexed.rename(before)
    change(folder)
    index(folder, tmp_path / 'unbroken')
    expected = contents(tmp_path / 'unbroken')
    context = multiprocessing.get_context('forkserver')  # its children have no threads of Lance
    context.set_forkserver_preload(['mmcma.search', 'mmcma.models'])
    for step in range(1, 100):
        broken = tmp_path / f'broken{step}'
        shutil.copytree(before, broken)
        child = context.Process(target=killed_at, args=(step, folder, broken))
        child.start()
        child.join()
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL
        index(folder, broken)
        assert contents(broken) == expected, f'killed at step {step}'
        shutil.rmtree(broken)
    assert step > 10


@pytest.mark.parametrize('place', ['writer.write_fragments', 'tables.write_fragments',
                                   'tables.lance.LanceDataset.commit'])
def test_a_full_disk(folder, indexed, tmp_path, monkeypatch, place):
    before = contents(indexed)
    for number in range(3):
        write_image(folder / 'new' / f'{number}.png', grey=150 + number)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with monkeypatch.context() as disk:
        disk.setattr(f'mmcma.search.{place}', full)
        with pytest.raises(DataError, match='No space left.*mmcma index goes on'):
            index(folder, indexed)
    assert len(Gallery(indexed, StandIn()).search_text('100', k=50)) == len(before)
    assert index(folder, indexed).added == 3
    index(folder, tmp_path / 'fresh')
    assert contents(indexed) == contents(tmp_path / 'fresh')


def test_one_writer_and_any_readers(folder, indexed, monkeypatch):
    monkeypatch.setattr(lock, 'PATIENCE', 0)
    reader = Gallery(indexed, StandIn())
    with lock.writer_lock(str(indexed)):
        for refused in (index, lambda *paths: indexing.check_request(*paths)):
            with pytest.raises(DataError, match='being written by another process'):
                refused(folder, indexed)
        assert len(Gallery(indexed, StandIn()).search_text('100', k=50)) == 7
    (folder / 'v0.mp4').unlink()
    write_image(folder / 'new.png', grey=150)
    assert index(folder, indexed).added == 1
    assert len(reader.search_text('100', k=50)) == 7 and reader.paths() == sorted(reader.paths()) and len(reader) == 7
    assert Path(reader.search_text('150', k=1)[0].path).name != 'new.png'
    assert reader.refresh() and not reader.refresh()
    assert Path(reader.search_text('150', k=1)[0].path).name == 'new.png' and 'v0.mp4' not in reader.paths()


def test_a_reader_sees_each_commit(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(indexing, 'ROWS_AT_ONCE', 2)
    readers, seen = [], []

    def look(*_: int) -> None:
        if not readers and (tmp_path / 'gallery' / 'moments.lance').exists():
            readers.append(Gallery(tmp_path / 'gallery', StandIn()))
        for reader in readers:
            reader.refresh()
            seen.append(len(reader))
    index(folder, tmp_path / 'gallery', progress=look)
    assert seen == sorted(seen) and len(set(seen)) > 2 and not readers[0].manifest.complete
    assert readers[0].refresh() and readers[0].manifest.complete and len(readers[0]) == 7


def test_another_model_or_folder(folder, indexed, tmp_path):
    for call in (lambda: index(folder, indexed, StandIn('e' * 32)), lambda: Gallery(indexed, StandIn('e' * 32))):
        with pytest.raises(WeightsError, match="'stand-in'.*fffffffffff.*eeeeeeeeeee"):
            call()
    with pytest.raises(ConfigError, match='was made of the folder'):
        index(write_folder(tmp_path / 'other', 1, 0), indexed)
    assert index(folder, indexed).unchanged == 7  # nothing has been locked or lost


def test_nothing_to_index(tmp_path):
    with pytest.raises(DataError, match='is no folder'):
        index(tmp_path / 'absent', tmp_path / 'new')
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'empty' / 'notes.txt').touch()
    with pytest.raises(DataError, match='holds no videos or images'):
        index(tmp_path / 'empty', tmp_path / 'new')
    (tmp_path / 'empty' / 'a.png').touch()
    with pytest.raises(DataError, match='none of the 1 files .* can be read; a.png: '):
        index(tmp_path / 'empty', tmp_path / 'new')


@pytest.mark.parametrize('check', [indexing.check_request, index], ids=['before the model', 'with it'])
def test_a_folder_with_other_things_is_no_place_for_a_gallery(folder, tmp_path, check):
    with pytest.raises(ConfigError, match=r'media is no gallery and has other things in it \(images'):
        check(folder, folder)  # the media themselves
    assert not list(folder.glob('*.lance'))
    begun = tmp_path / 'begun'  # and killed; the Finder has been there
    begun.mkdir()
    for name in ('lock', '.DS_Store'):
        (begun / name).touch()
    (begun / 'moments.lance').mkdir()
    check(folder, begun)


def test_a_gallery_that_is_none_or_empty(tmp_path):
    with pytest.raises(DataError, match='no gallery.*mmcma index FOLDER'):
        Gallery(tmp_path, StandIn())
    GalleryManifest(FORM, '/videos', 'tiny', None, 'f' * 32).write(str(tmp_path))
    with pytest.raises(DataError, match='holds nothing yet'):
        Gallery(tmp_path, StandIn())


def test_small_commits(folder, indexed, tmp_path, monkeypatch):
    monkeypatch.setattr(indexing, 'ROWS_AT_ONCE', 2)
    index(folder, tmp_path / 'small')
    assert contents(tmp_path / 'small') == contents(indexed)


def test_what_nobody_reads_any_more_is_deleted(folder, indexed, monkeypatch):
    reader, before = Gallery(indexed, StandIn()), contents(indexed)
    versions = len(list((indexed / 'moments.lance' / '_versions').glob('*.manifest')))
    write_image(folder / 'images' / '0.png', grey=200)
    index(folder, indexed)
    assert len(list((indexed / 'moments.lance' / '_versions').glob('*.manifest'))) > versions
    assert len(reader.search_text('0', k=50)) == len(before)  # for an hour
    monkeypatch.setattr(writer, 'KEPT_SECONDS', -1)
    index(folder, indexed)
    assert len(list((indexed / 'moments.lance' / '_versions').glob('*.manifest'))) == 1
    assert reader.refresh() and len(reader.search_text('0', k=50)) == len(before)


def test_small_fragments_are_joined(folder, indexed, tmp_path, monkeypatch):
    monkeypatch.setattr(indexing, 'ROWS_AT_ONCE', 1)
    monkeypatch.setattr(writer, '_FRAGMENTS', 2)
    index(folder, tmp_path / 'small')
    assert len(lance.dataset(tmp_path / 'small' / 'moments.lance').get_fragments()) == 1
    assert contents(tmp_path / 'small') == contents(indexed)


def test_full_fragments_are_not_written_again(folder, tmp_path, monkeypatch):
    """What one more file costs does not grow with the gallery."""
    monkeypatch.setattr(indexing, 'ROWS_AT_ONCE', 1)
    monkeypatch.setattr(writer, '_FRAGMENTS', 2)
    monkeypatch.setattr(writer, '_FRAGMENT_ROWS', 3)
    index(folder, tmp_path / 'gallery')

    def files() -> list[set[str]]:
        return [{file.path for file in fragment.metadata.files}
                for fragment in lance.dataset(tmp_path / 'gallery' / 'moments.lance').get_fragments()]
    before = files()
    assert len(before) == 2
    for number in range(4):
        write_image(folder / 'more' / f'{number}.png', grey=9 * number)
        index(folder, tmp_path / 'gallery')
    assert before[0] in files()
    assert len(Gallery(tmp_path / 'gallery', StandIn())) == 11
