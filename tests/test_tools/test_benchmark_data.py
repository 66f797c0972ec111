"""The data benchmark: what it compares must be equal before it is timed. No time decides anything here."""
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.media import write_video

from mmcma.utils.errors import DataError


@pytest.fixture
def tool(monkeypatch):
    from benchmarks import data
    monkeypatch.setattr(data, 'SIZE', 32)
    monkeypatch.setattr(data, 'STEPS', [data.STEPS[0], dict(type='ResizeCrop', size=32)])
    threads = torch.get_num_threads()
    yield data
    torch.set_num_threads(threads)


@pytest.fixture
def clips(tmp_path) -> Path:
    for number in (1, 2):
        write_video(tmp_path / 'clips' / 'sub' / f'{number}.mp4', num_frames=20 * number, fps=10)
    captions = [dict(id='1', video='sub/1.mp4', captions=['a cat', 'it sleeps'])]
    (tmp_path / 'clips' / 'captions.json').write_text(json.dumps(captions))
    return tmp_path / 'clips'


def test_clips_of_a_folder(tool, clips, tmp_path):
    items = tool.list_clips(clips)
    assert [(item['id'], item['captions']) for item in items] == \
        [('sub/1.mp4', ['a cat', 'it sleeps']), ('sub/2.mp4', ['a video'])]
    (tmp_path / 'none').mkdir()
    with pytest.raises(DataError, match='none: no videos'):
        tool.list_clips(tmp_path / 'none')


def test_both_parts_in_one_file(tool, clips, tmp_path, monkeypatch, capsys):
    out = tmp_path / 'out.json'
    import benchmark
    for command in ('data', 'stores'):
        monkeypatch.setattr(sys, 'argv', ['x', command, '--clips', str(clips), '--rounds', '2', '--out', str(out)])
        benchmark.main()
    found = json.loads(out.read_text())
    pipelines = found['pipelines']
    assert pipelines['clips'] == 2 and set(pipelines['ratio_to_common']) == {'ours', 'cache'}
    assert pipelines['clips_whose_decoded_frames_agree_within_1'] == 2
    assert pipelines['decodes_of_a_test_set'] == dict(captions=80, one_per_caption=80, ours=2)
    stores = found['stores']['stores']
    assert stores['folder, lossless']['greatest_error'] == 0
    assert stores['folder, JPEG 95']['megabytes_a_clip'] < stores['folder, lossless']['megabytes_a_clip']
    assert 'stores --clips DIR' in found['stores']['command'] and str(clips) not in out.read_text()


def test_nothing_is_timed_where_sides_differ(tool, clips, tmp_path, monkeypatch):
    common = tool.preprocess_commonly
    monkeypatch.setattr(tool, 'preprocess_commonly', lambda frames: common(frames) + 1 / 255)
    monkeypatch.setattr(tool, 'rates', lambda *args: pytest.fail('timed'))
    with pytest.raises(DataError, match='sub/1.mp4: ResizeCrop and Pillow give different frames'):
        tool.compare_pipelines(tool.list_clips(clips), tmp_path / 'cache', 1)


def test_rates_are_those_of_all_items_in_a_round(tool, monkeypatch):
    calls = []
    clock = iter(range(0, 100, 2))
    monkeypatch.setattr(tool.time, 'process_time', lambda: next(clock))
    sides = {side: lambda item, side=side: calls.append(f'{side}{item}') for side in 'ab'}
    assert tool.rates(sides, [1, 2, 3, 4], 2) == dict(a=[2, 2], b=[2, 2])
    assert len(calls) == 24 and calls[:4] == ['b1', 'b2', 'b3', 'b4']


@pytest.mark.parametrize('name', ['folder', 'lmdb', 'webdataset'])
def test_stores_give_back_what_they_got(tool, tmp_path, name):
    if name != 'folder':
        pytest.importorskip(name)
    rng = np.random.default_rng(0)
    clips = {f'{number:06d}': rng.integers(0, 256, (2, 3, 32, 32), dtype=np.uint8) for number in range(3)}
    from benchmarks import stores
    read = stores.STORES[name](tmp_path / name, {key: stores.encode(frames, None) for key, frames in clips.items()})
    for key in ('000002', '000000', '000001', '000001'):
        np.testing.assert_array_equal(stores.decode(read(key), None), clips[key])
