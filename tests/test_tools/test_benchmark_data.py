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
    from benchmarks import core, data
    from helpers.one_process import in_this_process
    monkeypatch.setattr(core, 'isolated', in_this_process)
    monkeypatch.setattr(data, 'STEPS', [data.STEPS[0], dict(type='ResizeCrop', size=32)])
    threads = torch.get_num_threads()
    yield data
    torch.set_num_threads(threads)


@pytest.fixture
def clips(tmp_path) -> Path:
    for number in (1, 2):
        write_video(tmp_path / 'clips' / 'sub' / f'{number}.mp4', num_frames=20 * number, fps=10)
    return tmp_path / 'clips'


def call(monkeypatch, clips: Path, out: Path) -> None:
    import benchmark
    monkeypatch.setattr(sys, 'argv', ['x', 'data', '--clips', str(clips), '--rounds', '2', '--out', str(out)])
    benchmark.main()


def test_clips_of_a_folder(tool, clips, tmp_path):
    items = tool.list_clips(clips)
    assert [item['id'] for item in items] == ['sub/1.mp4', 'sub/2.mp4']
    (tmp_path / 'none').mkdir()
    with pytest.raises(DataError, match='none: no videos'):
        tool.list_clips(tmp_path / 'none')


def test_videos_and_cache(tool, clips, tmp_path, monkeypatch, capsys):
    out = tmp_path / 'out.json'
    call(monkeypatch, clips, out)
    found = json.loads(out.read_text())['pipelines']
    assert found['clips'] == 2 and list(found['ways']) == ['videos', 'cache'] and str(clips) not in out.read_text()
    ours = found['ways']['cache']
    assert ours['clips_per_second'] == pytest.approx(2 / ours['processor_seconds']['median'])
    assert 'cache agrees with videos, off by 0' in capsys.readouterr().out


def test_nothing_is_timed_where_the_cache_gives_other_frames(tool, clips, tmp_path, monkeypatch):
    from mmcma.datasets.video.cache import FrameCache
    write = FrameCache.write
    monkeypatch.setattr(FrameCache, 'write', lambda self, name, frames: write(self, name, np.maximum(frames, 1)[::-1]))
    monkeypatch.setattr(tool, 'race_costs', lambda *args, **kwargs: pytest.fail('timed'))
    with pytest.raises(DataError, match='cache is off by'):
        call(monkeypatch, clips, tmp_path / 'out.json')
