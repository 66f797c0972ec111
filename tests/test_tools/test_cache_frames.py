"""The tool that fills a frame cache: complete, resumable, and read with one changed line."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.imports import import_file
from helpers.media import write_video

from mmcma.config import load_config
from mmcma.registry import DATASETS
from mmcma.utils.errors import ConfigError, DataError

ROOT = Path(__file__).parents[2]
TOOL = ROOT / 'tools' / 'dataset_converters' / 'cache_frames.py'


@pytest.fixture
def tool():
    return import_file(TOOL)


@pytest.fixture
def run(tool, monkeypatch):
    """Calls the tool; returns its exit code."""
    def call(*args) -> int:
        monkeypatch.setattr(sys, 'argv', ['cache_frames.py', *map(str, args), '--workers', '2'])
        try:
            tool.main()
        except SystemExit as end:
            return end.code
        return 0
    return call


@pytest.fixture
def config(tmp_path) -> Path:
    """Three clips to train, one of them used twice, and one to test; of 4 frames and 32 pixels."""
    for number in range(4):
        write_video(tmp_path / 'videos' / f'{number}.mp4', num_frames=30 - number, fps=10)
    (tmp_path / 'train.csv').write_text(
        'path,caption,start,end,id\n0.mp4,a,,,a\n0.mp4,b,,,a\n1.mp4,c,,,b/#..\n1.mp4,d,0.5,1.5,b/#0.5\n2.mp4,e,,,c\n')
    (tmp_path / 'test.csv').write_text('path,caption,start,end,id\n3.mp4,f,0,0.3,d\n')
    path = tmp_path / 'own.py'
    path.write_text(f"""
pipeline = [
    dict(type='LoadVideoFrames', num_frames=4, fps=2.0), dict(type='ResizeCrop', size=32),
    dict(type='PackRetrievalInputs')]
source = dict(type='CaptionedFiles', data_root={str(tmp_path)!r}, data_prefix=dict(visual='videos'), pipeline=pipeline)
train_dataloader = dict(dataset=dict(ann_file='train.csv', **source))
test_dataloader = dict(dataset=dict(ann_file='test.csv', test_mode=True, **source))
""")
    return path


def contents(cache: Path) -> dict[str, bytes]:
    return {str(path.relative_to(cache)): path.read_bytes() for path in sorted(cache.rglob('*')) if path.is_file()}


def samples(config: Path) -> list[dict]:
    cfg = load_config(config)
    datasets = [DATASETS.build(cfg[loader].dataset) for loader in ('train_dataloader', 'test_dataloader')]
    return [dataset[index] for dataset in datasets for index in range(len(dataset))]


def assert_same_samples(ours: Path, theirs: Path) -> None:
    pairs = list(zip(samples(ours), samples(theirs), strict=True))
    assert len(pairs) == 6
    for one, other in pairs:
        np.testing.assert_array_equal(one['inputs'], other['inputs'])
        assert one['data_samples'].frame_mask.tolist() == other['data_samples'].frame_mask.tolist()
        assert one['data_samples'].captions == other['data_samples'].captions


def test_one_changed_line_reads_the_same_frames(run, config, tmp_path, capsys):
    out = tmp_path / 'cache'
    assert run(config, '--out', out) == 0
    printed = capsys.readouterr().out
    assert '5 of 5 items, 5 of them new' in printed and (out / 'failures.jsonl').read_text() == ''
    own_line = config.with_name('own_line.py')
    line = f"pipeline[:2] = [dict(type='LoadCachedFrames', cache={str(out)!r}, steps=pipeline[:2])]"
    own_line.write_text(config.read_text().replace('\nsource =', f'\n{line}\nsource ='))
    child = config.with_name('child.py')
    line = next(line for line in printed.splitlines() if line.startswith('train_dataloader = '))
    child.write_text(f"_base_ = 'own.py'\n{line}\n")
    assert_same_samples(own_line, config)
    assert_same_samples(child, config)
    assert 'LoadCachedFrames' in repr(DATASETS.build(load_config(child).train_dataloader.dataset).pipeline)
    own_line.write_text(own_line.read_text().replace('num_frames=4', 'num_frames=8'))
    with pytest.raises(ConfigError, match='num_frames=8.*made with 4'):
        samples(own_line)


@pytest.mark.parametrize('kept', [True, False], ids=['one item lost', 'all lost'])
def test_a_config_that_reads_the_cache_can_fill_it_again(run, config, tmp_path, capsys, kept):
    """As the error for a missing item advises, with the config that the user runs."""
    out, whole = tmp_path / 'cache', tmp_path / 'whole'
    run(config, '--out', whole)
    run(config, '--out', out)
    printed = capsys.readouterr().out.splitlines()
    line = next(line for line in reversed(printed) if line.startswith('train_dataloader = '))
    child = config.with_name('child.py')
    child.write_text(f"_base_ = 'own.py'\n{line}\n")
    line = f"pipeline[:2] = [dict(type='LoadCachedFrames', cache={str(out)!r}, steps=pipeline[:2])]"
    config.write_text(config.read_text().replace('\nsource =', f'\n{line}\nsource ='))
    (out / 'frames' / 'd.npy').unlink()
    if not kept:
        shutil.rmtree(out)
    assert run(config, '--out', out) == 0  # the steps stand in the config
    (out / 'frames' / 'd.npy').unlink()
    assert run(child, '--out', out) == 0  # they stand in the manifest
    assert contents(out / 'frames') == contents(whole / 'frames')
    shutil.rmtree(out)
    with pytest.raises(DataError, match='no frame cache'):  # they stand nowhere
        run(child, '--out', out)


@pytest.mark.slow
def test_killed_and_started_again(run, config, tmp_path):
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    assert run(config, '--out', whole) == 0
    process = subprocess.Popen([sys.executable, TOOL, config, '--out', broken, '--workers', '1'],
                               stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    while process.poll() is None and not list(broken.glob('frames/*.npy')):
        time.sleep(0.005)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in broken.glob('frames/*.npy')}
    assert done
    (broken / 'frames' / '.d.npy.tmp').write_bytes(b'half')  # the file that it was writing
    (broken / 'frames' / 'd.npy').unlink(missing_ok=True)
    done.pop(broken / 'frames' / 'd.npy', None)
    assert run(config, '--out', broken) == 0
    assert contents(broken) == contents(whole)
    assert {path: path.stat().st_mtime_ns for path in done} == done  # not made again


def test_a_broken_video_costs_one_item(run, config, tmp_path, capsys):
    out, video = tmp_path / 'cache', tmp_path / 'videos' / '2.mp4'
    intact = video.read_bytes()
    video.write_bytes(b'no video')
    assert run(config, '--out', out) == 1
    failure, = map(json.loads, (out / 'failures.jsonl').read_text().splitlines())
    assert (failure['id'], failure['path']) == ('c', str(video)) and 'cannot be read' in failure['error']
    assert '4 of 5 items' in capsys.readouterr().out
    video.write_bytes(intact)
    assert run(config, '--out', out) == 0
    assert '5 of 5 items, 1 of them new' in capsys.readouterr().out
    assert (out / 'failures.jsonl').read_text() == '' and (out / 'frames' / 'c.npy').exists()


def test_jpeg(run, config, tmp_path):
    assert run(config, '--out', tmp_path / 'cache', '--jpeg', 95, '--splits', 'test') == 0
    assert [path.name for path in (tmp_path / 'cache' / 'frames').iterdir()] == ['d.jpg']


@pytest.mark.parametrize('extra, error, message', [
    ("test_dataloader['dataset']['pipeline'] = [dict(type='LoadImage'), pipeline[1]]", ConfigError,
     "steps is 'LoadVideoFrames, ResizeCrop' in train_dataloader and 'LoadImage, ResizeCrop' in test_dataloader"),
    ("test_dataloader['dataset']['pipeline'] = [pipeline[0], dict(type='ResizeCrop')]", ConfigError,
     'ResizeCrop.size is 32 in train_dataloader and 224 in test_dataloader'),
    ("test_dataloader['dataset']['pipeline'] = pipeline[:1]", ConfigError, 'test_dataloader.*no steps to cache'),
    ("test_dataloader['dataset']['ann_file'] = 'other.csv'", DataError, "test_dataloader: the id 'a' stands for")])
def test_what_one_cache_cannot_hold(run, config, tmp_path, extra, error, message):
    (tmp_path / 'other.csv').write_text('path,caption,id\n3.mp4,f,a\n')
    config.write_text(f'{config.read_text()}{extra}\n')
    with pytest.raises(error, match=message):
        run(config, '--out', tmp_path / 'cache')
    assert not (tmp_path / 'cache').exists()
