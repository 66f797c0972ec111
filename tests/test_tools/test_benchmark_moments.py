"""The benchmark of moments: figures by hand, clips where they are said to be, and all of it once."""
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.media import write_video

from mmcma.datasets import open_video
from mmcma.utils.spans import Span


@pytest.fixture
def tool():
    from benchmarks import moments
    return moments


def test_figures_by_hand(tool):
    """The first caption's best window is right, the second's covers its clip and is too long, the third's is joined."""
    moments = [Span(0, 2), Span(1, 3), Span(4, 14)]
    asked = [tool.Asked('', Span(0, 2)), tool.Asked('', Span(5, 7)), tool.Asked('', Span(1, 3))]
    scores = torch.tensor([[3.0, 2, 1], [1.0, 2, 3], [3.0, 2, 1]])
    found = tool.figures(scores, moments, asked)
    assert (found['half R@1'], found['half R@10']) == (33.3, 33.3)
    assert (found['covers R@1'], found['covers R@5']) == (100, 100)
    assert found['error, s'] == 1  # of 0, 3 and 1


def test_clips_are_where_they_are_said_to_be(tool, tmp_path):
    greys = [60, 120, 240]
    paths = [str(write_video(tmp_path / f'{grey}.mp4', num_frames=10 + grey // 20, paint=lambda _, grey=grey: grey))
             for grey in greys]
    settings = SimpleNamespace(size=32, pause=1.0, seed=0, key_frames=0.4)
    spans, duration = tool.join_clips(paths, tmp_path / 'joined.mp4', settings)
    with open_video(tmp_path / 'joined.mp4') as video:
        assert video.duration == pytest.approx(duration, abs=0.01)
        frames = video.get_batch(range(video.num_frames))
    middle = frames[:, 16, 16].mean(axis=-1)
    for span, grey in zip(spans, greys):
        first, last = (round(seconds * tool.RATE) for seconds in span)
        assert np.abs(middle[first:last] - grey).max() < 8 and (last - first) / tool.RATE == pytest.approx(
            (10 + grey // 20) / 10, abs=0.05)
        assert not first or middle[first - 1] < 8 or spans[0].start == 0
    assert spans == tool.join_clips(paths, tmp_path / 'again.mp4', settings)[0]
    with open_video(tmp_path / 'joined.mp4', key_frames=True) as video:
        assert np.diff(video.timestamps).max() == pytest.approx(0.4)


def test_all_of_it(tool, tmp_path, monkeypatch, capsys):
    for number in range(3):
        write_video(tmp_path / f'{number}.mp4', num_frames=15, paint=lambda frame, number=number: 80 * number + frame)
    (tmp_path / 'list.csv').write_text('path,caption\n' + ''.join(f'{n}.mp4,a dark {n}\n' for n in range(3)))
    monkeypatch.setattr(sys, 'argv', ['x', '--data-root', str(tmp_path), '--ann-file', 'list.csv', '--seconds', '1',
                                      '--overlaps', '0.5', '--fast', '--name', 'greys',
                                      '--out', str(tmp_path / 'out.json')])
    import benchmark_moments
    benchmark_moments.main()
    rows = json.loads((tmp_path / 'out.json').read_text())['greys']['rows']
    assert list(rows) == [f'{plan}{way}{by}' for plan in ('clips cut apart', '1 s, overlap 0.5')
                          for way in ('', ', key frames alone') for by in ('', ', pooled')]
    assert rows['clips cut apart']['half R@10'] == 100 and '3 captions of 3 clips' in capsys.readouterr().out
