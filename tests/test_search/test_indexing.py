"""A gallery follows its folder, whatever happens on the way."""
import errno
import json
import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from helpers.galleries import StandIn, contents, index, killed_at, write_folder
from helpers.media import write_image, write_video

from mmcma.datasets.video.backends import BACKENDS
from mmcma.search import Gallery, gallery, indexing
from mmcma.search.frame_store import FrameStore
from mmcma.search.reading import ListedFile, ReadFile
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
    report = index(folder, tmp_path / 'gallery', progress=lambda *step: steps.append(step))
    assert (report.added, report.failed, report.items) == (7, 0, 7)
    assert steps[-1] == (7, 7, 0) and len(steps) == 7
    assert files(folder) == before
    report = index(folder, tmp_path / 'gallery')
    assert (report.added, report.unchanged, report.items) == (0, 7, 7)
    change(folder)
    report = index(folder, tmp_path / 'gallery')
    assert (report.added, report.updated, report.deleted, report.unchanged, report.items) == (3, 1, 1, 5, 9)
    index(folder, tmp_path / 'fresh')
    assert contents(tmp_path / 'gallery') == contents(tmp_path / 'fresh')


def test_what_is_stored_of_a_video(indexed):
    duration, times, *_, frames, _ = contents(indexed)['v1.mp4']
    assert duration == pytest.approx(1.5) and times == [0.0, 0.5, 1.0] and np.shape(frames) == (3, 16)
    assert contents(indexed)['images/1.png'][:2] == (0.0, [0.0])


def test_a_video_is_opened_once(folder, monkeypatch):
    opened, reader = [], BACKENDS['pyav']
    monkeypatch.setitem(BACKENDS, 'pyav', lambda path: opened.append(path) or reader(path))
    pipeline = StandIn().model.cfg.test_dataloader.dataset.pipeline
    content = ReadFile(folder, pipeline)(ListedFile('v1.mp4', 0, 0))
    assert opened == [str(folder / 'v1.mp4')] and content.times == [0.0, 0.5, 1.0] and content.duration == 1.5


def test_videos_under_a_config_of_images(folder, tmp_path):
    inferencer = StandIn()
    inferencer.model.cfg.test_dataloader.dataset.pipeline[0] = dict(type='LoadImage')
    assert index(folder, tmp_path / 'gallery', inferencer).failed == 0
    duration, times, *_, frames, _ = contents(tmp_path / 'gallery')['v1.mp4']  # one frame a second
    assert duration == pytest.approx(1.5) and times == [0.0, 1.0] and np.shape(frames) == (2, 16)


def test_files_that_cannot_be_read(folder, tmp_path):
    (folder / 'broken.mp4').write_bytes(b'nothing')
    (folder / '.hidden.png').write_bytes(b'nothing')
    write_image(tmp_path / 'elsewhere.png')
    (folder / 'link.png').symlink_to(tmp_path / 'elsewhere.png')
    Path(os.fsdecode(os.fsencode(folder) + b'/\xff.png')).write_bytes(b'')
    report = index(folder, tmp_path / 'gallery')
    assert (report.added, report.failed) == (7, 3)
    lines = [json.loads(line) for line in (tmp_path / 'gallery' / 'failures.jsonl').read_text().splitlines()]
    reasons = {line['path']: line['error'] for line in lines}
    assert reasons.keys() == {'broken.mp4', 'link.png', '\ufffd.png'}
    assert 'leads out' in reasons['link.png'] and 'UTF-8' in reasons['\ufffd.png']
    write_video(folder / 'broken.mp4')
    (folder / 'images' / '0.png').write_bytes(b'nothing')  # what was known of it is true no longer
    report = index(folder, tmp_path / 'gallery')
    assert (report.added, report.failed, report.items) == (1, 3, 7)
    assert 'images/0.png' not in contents(tmp_path / 'gallery')


def test_a_file_that_kills_its_reader(folder, tmp_path, monkeypatch):
    read = ReadFile.__call__
    monkeypatch.setattr(ReadFile, '__call__', lambda self, found: os._exit(3) if found.path == 'v0.mp4' else
                        read(self, found))
    report = index(folder, tmp_path / 'gallery')
    assert (report.added, report.failed) == (6, 1)
    assert 'died' in (tmp_path / 'gallery' / 'failures.jsonl').read_text()


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
    context = multiprocessing.get_context('forkserver')  # its children have no threads of Milvus
    context.set_forkserver_preload(['mmcma.search', 'mmcma.models', 'milvus_lite.adapter.grpc.server'])
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


@pytest.mark.parametrize('place', ['write_shard', 'half a line', 'record'])
def test_a_full_disk(folder, indexed, tmp_path, monkeypatch, place):
    before = contents(indexed)
    for number in range(3):
        write_image(folder / 'new' / f'{number}.png', grey=150 + number)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with monkeypatch.context() as disk:
        if place == 'half a line':
            disk.setattr(FrameStore, 'record', half_a_line)
        else:
            disk.setattr(FrameStore, place, full)
        with pytest.raises(DataError, match='No space left.*make room'):
            index(folder, indexed)
    with Gallery.open(indexed, StandIn()) as opened:
        assert len(opened.search_text('100', k=50)) == len(before)
    assert index(folder, indexed).added == 3
    index(folder, tmp_path / 'fresh')
    assert contents(indexed) == contents(tmp_path / 'fresh')


def half_a_line(store: FrameStore, items=(), gone=()) -> None:
    with open(store.folder / 'manifest.jsonl', 'ab') as file:
        file.write(b'{"path": "new/0.pn')
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_short_write_is_taken_back(tmp_path, monkeypatch):
    store = FrameStore(tmp_path)
    store.record(gone=['a'])
    before = (tmp_path / 'manifest.jsonl').read_bytes()
    monkeypatch.setattr(os, 'fsync', lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, 'full')))
    with pytest.raises(OSError):
        store.record(gone=['b'])
    assert (tmp_path / 'manifest.jsonl').read_bytes() == before


def test_lost_vectors_come_back_without_the_files(folder, indexed, monkeypatch):
    before = contents(indexed)
    shutil.rmtree(indexed / 'vectors.db')
    with pytest.raises(DataError, match=r'vectors.db.*run mmcma index again'):
        Gallery.open(indexed, StandIn())
    monkeypatch.setattr(ReadFile, '__call__', None)
    assert index(folder, indexed).unchanged == 7
    assert contents(indexed) == before


def test_damaged_vectors_are_noticed(indexed):
    for path in (indexed / 'vectors.db').rglob('*'):
        if path.suffix in ('.parquet', '.arrow'):
            path.unlink()
    with pytest.raises(DataError, match='vectors.db: .*delete .*vectors.db and run mmcma index again'):
        Gallery.open(indexed, StandIn())


@pytest.mark.parametrize('damage', ['truncated', 'pickled', 'missing'])
def test_a_damaged_shard_is_encoded_anew(folder, indexed, damage):
    before = contents(indexed)
    shard, = (indexed / 'frames').glob('*.npy')
    if damage == 'truncated':
        shard.write_bytes(shard.read_bytes()[:200])
    elif damage == 'pickled':
        np.save(shard, np.array([dict()], dtype=object), allow_pickle=True)
    else:
        shard.unlink()
    with Gallery.open(indexed, StandIn()) as opened, pytest.raises(DataError, match=f'{shard.name}.*delete it and run'):
        opened.search_text('100')
    shard.unlink(missing_ok=True)
    assert index(folder, indexed).added == 7
    assert contents(indexed) == before


def test_a_damaged_manifest(folder, indexed):
    manifest = indexed / 'frames' / 'manifest.jsonl'
    lines = manifest.read_text().splitlines()
    lines[2] = lines[2][:9]
    manifest.write_text('\n'.join(lines) + '\n')
    with pytest.raises(DataError, match='manifest.jsonl:3: damaged'):
        index(folder, indexed)


def test_one_process_at_a_time(folder, indexed, monkeypatch):
    monkeypatch.setattr(gallery, 'PATIENCE', 0)
    with Gallery.open(indexed, StandIn()):
        with pytest.raises(DataError, match='in use by another process'):
            index(folder, indexed)
        with pytest.raises(DataError, match='in use by another process'):
            Gallery.open(indexed, StandIn())
    assert index(folder, indexed).unchanged == 7


def test_another_model_folder_or_store(folder, indexed, tmp_path):
    for call in (lambda: index(folder, indexed, StandIn('e' * 32)), lambda: Gallery.open(indexed, StandIn('e' * 32))):
        with pytest.raises(WeightsError, match="'stand-in'.*fffffffffff.*eeeeeeeeeee"):
            call()
    with pytest.raises(ConfigError, match='was made of the folder'):
        index(write_folder(tmp_path / 'other', 1, 0), indexed)
    with pytest.raises(ConfigError, match='was made of the store None'):
        index(folder, indexed, store='http://localhost:1')
    assert index(folder, indexed).unchanged == 7  # nothing has been locked or lost


def test_nothing_to_index(tmp_path, indexed):
    with pytest.raises(DataError, match='is no folder'):
        index(tmp_path / 'absent', tmp_path / 'new')
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'empty' / 'notes.txt').touch()
    with pytest.raises(DataError, match='holds no videos or images'):
        index(tmp_path / 'empty', tmp_path / 'new')
    (tmp_path / 'empty' / 'a.png').touch()
    with pytest.raises(DataError, match='none of the 1 files .* can be read; see .*failures.jsonl'):
        index(tmp_path / 'empty', tmp_path / 'new')


def test_a_gallery_that_is_none(tmp_path, indexed):
    with pytest.raises(DataError, match='no gallery.*mmcma index FOLDER'):
        Gallery.open(tmp_path, StandIn())
    manifest = indexed / 'gallery.json'
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(dict(content, version=2)))
    with pytest.raises(DataError, match='version 2, and this program reads version 1'):
        Gallery.open(indexed, StandIn())
    manifest.write_text('{')
    with pytest.raises(DataError, match='gallery.json: damaged'):
        Gallery.open(indexed, StandIn())


def test_small_shards(folder, indexed, tmp_path, monkeypatch):
    monkeypatch.setattr(indexing, 'SHARD_ITEMS', 2)
    index(folder, tmp_path / 'small')
    assert len(list((tmp_path / 'small' / 'frames').glob('*.npy'))) == 4
    assert contents(tmp_path / 'small') == contents(indexed)
