"""The data benchmark: what it compares must be equal before it is timed. No time decides anything here."""
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.media import write_video

from mmcma.utils.errors import DataError

TOOL = Path(__file__).parents[1] / 'tools' / 'analysis_tools' / 'benchmark_data.py'


@pytest.fixture
def tool(monkeypatch):
    spec = importlib.util.spec_from_file_location('benchmark_data', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, 'SIZE', 32)
    monkeypatch.setattr(module, 'STEPS', [module.STEPS[0], dict(type='ResizeCrop', size=32)])
    threads = torch.get_num_threads()
    yield module
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
    for part in ([], ['--stores']):
        monkeypatch.setattr(sys, 'argv', ['x', '--clips', str(clips), '--rounds', '2', '--out', str(out), *part])
        tool.main()
    found = json.loads(out.read_text())
    pipelines = found['pipelines']
    assert pipelines['clips'] == 2 and set(pipelines['ratio_to_common']) == {'ours', 'cache'}
    assert pipelines['clips_whose_decoded_frames_agree_within_1'] == 2
    assert pipelines['decodes_of_a_test_set'] == dict(captions=80, one_per_caption=80, ours=2)
    stores = found['stores']['stores']
    assert stores['folder, lossless']['greatest_error'] == 0
    assert stores['folder, JPEG 95']['megabytes_a_clip'] < stores['folder, lossless']['megabytes_a_clip']
    assert '--stores' in found['stores']['command'] and str(clips) not in out.read_text()


def test_nothing_is_timed_where_sides_differ(tool, clips, tmp_path, monkeypatch):
    common = tool.preprocess_commonly
    monkeypatch.setattr(tool, 'preprocess_commonly', lambda frames: common(frames) + 1 / 255)
    monkeypatch.setattr(tool, 'race', lambda *args: pytest.fail('timed'))
    with pytest.raises(DataError, match='sub/1.mp4: ResizeCrop and Pillow give different frames'):
        tool.compare_pipelines(tool.list_clips(clips), tmp_path / 'cache', 1)


def test_race_takes_turns_and_drops_the_first_round(tool):
    calls = []
    sides = {side: lambda item, side=side: calls.append(f'{side}{item}') for side in 'ab'}
    speeds = tool.race(sides, [1, 2], 2)
    assert calls == ['a1', 'a2', 'b1', 'b2'] * 3
    assert {side: len(values) for side, values in speeds.items()} == dict(a=2, b=2)
    assert tool.spread([3.0, 1.0, 2.0]) == dict(median=2.0, min=1.0, max=3.0)


@pytest.mark.parametrize('name', ['folder', 'lmdb', 'webdataset'])
def test_stores_give_back_what_they_got(tool, tmp_path, name):
    if name != 'folder':
        pytest.importorskip(name)
    rng = np.random.default_rng(0)
    clips = {f'{number:06d}': rng.integers(0, 256, (2, 3, 32, 32), dtype=np.uint8) for number in range(3)}
    read = tool.STORES[name](tmp_path / name, {key: tool.encode(frames, None) for key, frames in clips.items()})
    for key in ('000002', '000000', '000001', '000001'):
        np.testing.assert_array_equal(tool.decode(read(key), None), clips[key])
