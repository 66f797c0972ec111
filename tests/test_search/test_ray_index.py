"""Two Ray nodes index as one process does, whatever is killed on the way."""
import os
import signal
import sys
import time
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from helpers.galleries import StandIn, contents, index, write_folder
from helpers.media import write_image

from mmcma.apis import RetrievalInferencer, init_model
from mmcma.utils.errors import ConfigError, DataError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def two_nodes(monkeypatch) -> str:
    """Address of a cluster of two nodes with one core each."""
    for name, value in dict(RAY_USAGE_STATS_ENABLED='0', RAY_AUTH_MODE='disabled', RAY_worker_niceness='0',
                            PYTHONPATH=f'{ROOT}{os.pathsep}{ROOT / "tests"}').items():
        monkeypatch.setenv(name, value)
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


def kill_the_first_readers() -> None:
    while not kill_workers('MapBatches(_read)'):
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='finds processes in /proc')
def test_two_nodes_with_killed_workers_equal_one_process(two_nodes, tmp_path):
    folder = write_folder(tmp_path / 'media', images=3, videos=3)
    inferencer = RetrievalInferencer(init_model('tiny', device='cpu'), batch_size=2)
    index(folder, tmp_path / 'ray', inferencer)
    write_folder(tmp_path / 'media' / 'new', images=10, videos=8)
    write_image(folder / 'images' / '0.png', grey=200)
    os.utime(folder / 'v1.mp4', ns=(1, 1))
    (folder / 'v2.mp4').unlink()
    (folder / 'new' / 'broken.mp4').write_bytes(b'nothing')
    readers = Thread(target=kill_the_first_readers, daemon=True)
    readers.start()
    killed, steps = [], []

    def progress(*step: int) -> None:
        steps.append(step)
        if len(steps) == 2:
            killed.append(kill_workers('_EncodeRead'))
    report = index(folder, tmp_path / 'ray', inferencer, ray=two_nodes, progress=progress)
    readers.join()
    assert killed == [1]
    assert (report.added, report.updated, report.deleted, report.unchanged, report.failed) == (18, 1, 1, 4, 1)
    assert steps[-1] == (21, 21, 1) and len(steps) == 21  # the others were not done again
    index(folder, tmp_path / 'one', inferencer)
    ours, expected = contents(tmp_path / 'ray', inferencer), contents(tmp_path / 'one', inferencer)
    assert ours.keys() == expected.keys()
    for place, moment in expected.items():
        assert ours[place]._replace(frames=[]) == moment._replace(frames=[])
        np.testing.assert_allclose(ours[place].frames, moment.frames, rtol=0, atol=2e-3 * np.abs(moment.frames).max())
    assert report.failures.keys() == {'new/broken.mp4'}


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
