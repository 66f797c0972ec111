"""Two Ray nodes index as one process does, whatever is killed on the way."""
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.galleries import StandIn, contents, index, write_folder
from helpers.media import write_image, write_video

from mmcma.apis import RetrievalInferencer, init_model
from mmcma.search import indexing
from mmcma.search.assembly import WrittenPart
from mmcma.search.listing import ListedFile
from mmcma.search.progress import IndexProgress
from mmcma.search.writer import StoredFile, Written
from mmcma.utils.errors import ConfigError, DataError
from mmcma.utils.spans import Span

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def two_nodes() -> Iterator[str]:
    """Address of a cluster of two nodes with one core each."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in dict(RAY_USAGE_STATS_ENABLED='0', RAY_AUTH_MODE='disabled', RAY_worker_niceness='0',
                                PYTHONPATH=f'{ROOT}{os.pathsep}{ROOT / "tests"}').items():
            patch.setenv(name, value)
        from ray.cluster_utils import Cluster
        node = dict(num_cpus=1, num_gpus=0, object_store_memory=2**27)
        cluster = Cluster(initialize_head=True, head_node_args=dict(node, include_dashboard=False))
        cluster.add_node(**node)
        yield cluster.address
        cluster.shutdown()


def kill_workers(name: str) -> int:
    """Kills the processes below this one that Ray calls so, and says how many they were."""
    parents, titles = {}, {}
    for process in Path('/proc').glob('[0-9]*'):
        try:
            parents[int(process.name)] = int((process / 'stat').read_text().rpartition(')')[2].split()[1])
            titles[int(process.name)] = (process / 'cmdline').read_bytes().decode()
        except OSError:  # it has ended
            continue

    def is_ours(pid: int) -> bool:
        return pid == os.getpid() or pid in parents and is_ours(parents[pid])
    found = [pid for pid, title in titles.items() if name in title and title.startswith('ray::') and is_ours(pid)]
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    return len(found)


class PartsSeen:
    """Counts the steps in which nothing came but moments of a file that is not complete."""

    def __init__(self) -> None:
        self.count, self.last = 0, IndexProgress()

    def came(self, step: IndexProgress) -> int:
        """How many so far, where this is one; 0 where it is none."""
        partly = step.files == self.last.files and step.done > self.last.done
        self.count, self.last = self.count + partly, replace(step)
        return self.count if partly else 0


def kill_the_first_readers() -> None:
    while not kill_workers('MapBatches(_read)'):
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='finds processes in /proc')
def test_two_nodes_with_killed_workers_equal_one_process(two_nodes, tmp_path, monkeypatch):
    folder = write_folder(tmp_path / 'media', images=3, videos=3)
    inferencer = RetrievalInferencer(init_model('tiny', device='cpu'), batch_size=2)
    index(folder, tmp_path / 'ray', inferencer)
    write_folder(tmp_path / 'media' / 'new', images=10, videos=8)
    write_image(folder / 'images' / '0.png', grey=200)
    os.utime(folder / 'v1.mp4', ns=(1, 1))
    (folder / 'v2.mp4').unlink()
    write_video(folder / 'new' / 'long.mp4', num_frames=130, fps=2)
    (folder / 'new' / 'broken.mp4').write_bytes(b'nothing')
    readers = Thread(target=kill_the_first_readers, daemon=True)
    readers.start()
    killed, steps, here, parts = [], [], [], PartsSeen()

    def progress(step: IndexProgress) -> None:
        steps.append((step.files, step.of_files, step.failed))
        if parts.came(step) == 2 or len(steps) == 2:
            killed.append(kill_workers('_EncodeRead'))
    write = indexing.write_rows
    monkeypatch.setattr(indexing, 'write_rows', lambda gallery, moments, *rest: here.extend(
        moment.path for moment in moments) or write(gallery, moments, *rest))
    report = index(folder, tmp_path / 'ray', inferencer, ray=two_nodes, progress=progress)
    monkeypatch.undo()
    readers.join()
    assert len(killed) == 2 and sum(killed) >= 1 and parts.count > 2
    assert here == ['v1.mp4']  # of which the date alone is new; the actors wrote all others
    assert (report.added, report.updated, report.deleted, report.unchanged, report.failed) == (19, 1, 1, 4, 1)
    assert report.moments == report.items + 11
    assert steps[-1] == (22, 22, 1) and steps == sorted(steps)  # the others were not done again
    index(folder, tmp_path / 'one', inferencer)
    ours, expected = contents(tmp_path / 'ray', inferencer), contents(tmp_path / 'one', inferencer)
    assert ours.keys() == expected.keys()
    for place, moment in expected.items():
        assert ours[place]._replace(frames=[]) == moment._replace(frames=[])
        np.testing.assert_allclose(ours[place].frames, moment.frames, rtol=0, atol=2e-3 * np.abs(moment.frames).max())
    assert report.failures.keys() == {'new/broken.mp4'}


def killed_in_the_midst(address: str, folder: Path, gallery: Path) -> None:
    """Indexes in this process, and dies when some of its files are committed and others written, one in part."""
    indexing.ROWS_AT_ONCE, parts = 4, PartsSeen()
    index(folder, gallery, RetrievalInferencer(init_model('tiny', device='cpu'), batch_size=2), ray=address,
          progress=lambda step: os.kill(os.getpid(), signal.SIGKILL) if parts.came(step) and step.files >= 6 else None)


@pytest.mark.slow
def test_a_driver_that_was_killed(two_nodes, tmp_path):
    folder, inferencer = write_folder(tmp_path / 'media', 12, 2), RetrievalInferencer(init_model('tiny', device='cpu'))
    write_video(folder / 'images' / '5.mp4', num_frames=130, fps=2)  # in the midst of the others
    driver = multiprocessing.get_context('spawn').Process(
        target=killed_in_the_midst, args=(two_nodes, folder, tmp_path / 'ray'))
    driver.start()
    driver.join()
    assert driver.exitcode == -signal.SIGKILL
    report = index(folder, tmp_path / 'ray', inferencer, ray=two_nodes)
    assert report.unchanged > 0 and report.added > 0 and report.unchanged + report.added == 15
    index(folder, tmp_path / 'one', inferencer)
    ours, expected = contents(tmp_path / 'ray', inferencer), contents(tmp_path / 'one', inferencer)
    assert {place: own._replace(frames=[]) for place, own in ours.items()} == {
        place: own._replace(frames=[]) for place, own in expected.items()}
    assert len(ours) == 14 + 12


def taken(monkeypatch, names: str, *passes: list) -> Iterator:
    """What comes of files of these names where the cluster gives this in one pass after another."""
    from mmcma.search import ray_encoding
    left = list(passes)
    monkeypatch.setattr(ray_encoding.ray, 'put', lambda model: None)
    monkeypatch.setattr(ray_encoding, '_encode_once', lambda job, todo, *_: left.pop(0))
    return ray_encoding._encode(None, [ListedFile(name, 1, 1) for name in names], gallery='', workers=1, timeout=1,
                                inferencer=SimpleNamespace(model=torch.nn.Linear(1, 1)))


def test_rows_in_the_company_of_a_stored_file_are_not_taken(monkeypatch):
    """An actor that was killed encodes its files once more, perhaps together with others."""
    found = list(taken(monkeypatch, 'abc', [written('a', 'b'), written('b', 'c'), written('a', 'b')], [written('c')]))
    assert [sorted(own.files) for own in found] == [['a', 'b'], ['c']]
    with pytest.raises(DataError, match='says nothing of a and 2 others'):
        list(taken(monkeypatch, 'abc', []))


def test_a_long_file_of_which_a_part_came_in_other_company_is_done_again(monkeypatch):
    """Parts of one pass fit together, those of two need not."""
    passes = [part('a', 0, 1), part('a', 1, 2), part('a', 0, 1)], [part('a', 0), part('a', 1, 2), part('a', 2)]
    found = [(file.complete, len(file.written)) for file in taken(monkeypatch, 'a', *passes)]
    assert found == [(False, 1), (False, 1), (True, 2)]


def part(path: str, *places: int) -> WrittenPart:
    """The moments of a film of three seconds that begin then."""
    own = Written(4, {path: StoredFile('', 1, 1, len(places), 0)}, [], len(places))
    return WrittenPart(ListedFile(path, 1, 1), 3, tuple(Span(place, place + 1) for place in places), own)


def written(*paths: str) -> Written:
    return Written(4, dict.fromkeys(paths, StoredFile('', 1, 1, 1, 0)), [])


def test_no_cluster_is_one_line(tmp_path):
    folder = write_folder(tmp_path / 'media', 1, 0)
    for address in ('127.0.0.1:1', 'nonsense'):
        with pytest.raises(DataError, match=f"no Ray cluster can be used at '{address}'.*ray start --head"):
            index(folder, tmp_path / 'gallery', ray=address)
    assert not (tmp_path / 'gallery').exists()


def test_without_ray_its_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, 'mmcma.search.ray_encoding', raising=False)
    monkeypatch.setitem(sys.modules, 'ray', None)
    with pytest.raises(ConfigError, match=r"pip install 'mmcma\[ray\]'"):
        index(write_folder(tmp_path / 'media', 1, 0), tmp_path / 'gallery', StandIn(), ray='auto')
