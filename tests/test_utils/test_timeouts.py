import os
import threading
import time

import pytest
from helpers.media import write_video
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from mmcma.datasets import CaptionedFiles, LoadVideoFrames
from mmcma.datasets.video import reader as video_reader
from mmcma.datasets.video.pyav_reader import PyAVReader
from mmcma.datasets.video.reader import VideoReader
from mmcma.utils import timeouts
from mmcma.utils.errors import MediaError
from mmcma.utils.jobs import watched_jobs
from mmcma.utils.timeouts import made_progress, run_with_timeout


@pytest.fixture
def release(monkeypatch):
    """Lets what hangs go on, in the end."""
    event = threading.Event()
    monkeypatch.setattr(timeouts, '_given_up', [])
    yield event
    event.set()


def test_in_time():
    assert run_with_timeout(60, lambda: 3, 'a.mp4') == run_with_timeout(None, lambda: 3, 'a.mp4') == 3
    assert run_with_timeout(60, threading.current_thread, 'a.mp4') is not threading.current_thread()
    assert run_with_timeout(None, threading.current_thread, 'a.mp4') is threading.current_thread()


@pytest.mark.parametrize('error', [MediaError('torn'), TimeoutError('of its own'), KeyboardInterrupt()])
def test_errors_come_through(error):
    def fail():
        raise error

    with pytest.raises(type(error)) as caught:
        run_with_timeout(60, fail, 'a.mp4')
    assert caught.value is error


def test_what_hangs_is_given_up_and_counted(release):
    with pytest.raises(MediaError, match=r'a.mp4: given up after 0.05 s .*hang in this process: 1'):
        run_with_timeout(0.05, release.wait, 'a.mp4')
    with pytest.raises(MediaError, match='b.mp4: .*: 2'):
        run_with_timeout(0.05, release.wait, 'b.mp4')
    release.set()
    for thread in timeouts._given_up:
        thread.join()
    with pytest.raises(MediaError, match='c.mp4: .*: 1'):
        run_with_timeout(0.05, threading.Event().wait, 'c.mp4')


def test_what_goes_on_is_not_given_up():
    def work():
        for _ in range(6):
            time.sleep(0.1)
            made_progress()
        return 'done'

    assert run_with_timeout(0.4, work, 'a.mp4') == 'done'


class _HangsIn(VideoReader):
    """Opens or decodes for an hour where told to, as code in C does: no signal or exception ends it."""

    def __init__(self, path):
        name = os.path.basename(path)
        if 'open' in name:
            _HangsIn.release.wait(3600)
        self._hangs = 'decode' in name
        self._reader = PyAVReader(path)
        self.timestamps, self.duration = self._reader.timestamps, self._reader.duration

    def get_batch(self, indices):
        if self._hangs:
            _HangsIn.release.wait(3600)
        return self._reader.get_batch(indices)

    def close(self):
        self._reader.close()


@pytest.fixture
def hanging_backend(monkeypatch, release):
    monkeypatch.setattr(_HangsIn, 'release', release, raising=False)
    monkeypatch.setattr(video_reader, 'BACKENDS', dict(pyav=_HangsIn))


def _read_slowly(path):
    """In 0.3 seconds, of which its own limit would allow 0.1."""
    return run_with_timeout(0.1, lambda: time.sleep(1.5) or path, path)


def test_a_watcher_sets_the_only_limit():
    """As with --timeout of the commands, whatever the config's LoadVideoFrames says."""
    (slow,) = watched_jobs(_read_slowly, ['a.mp4'], workers=1, seconds=60)
    assert (slow.value, slow.error) == ('a.mp4', None)
    (stopped,) = watched_jobs(_read_slowly, ['a.mp4'], workers=1, seconds=0.2)
    assert stopped.error == 'no progress for 0.2 s, stopped'
    with pytest.raises(MediaError, match='given up after 0.1 s'):  # this process has no watcher
        _read_slowly('a.mp4')


@pytest.mark.parametrize('where', ['open', 'decode'])
def test_a_backend_that_hangs(tmp_path, hanging_backend, where):
    load = LoadVideoFrames(num_frames=2, timeout=0.2)
    with pytest.raises(MediaError, match=f'{where}.mp4: given up after 0.2 s without progress .timeout of'):
        load(dict(path=str(write_video(tmp_path / f'{where}.mp4'))))
    fine = write_video(tmp_path / 'fine.mp4')
    results = LoadVideoFrames(num_frames=2, timeout=60)(dict(path=str(fine)))
    assert results['frame_mask'].tolist() == [True, True]


def test_a_job_goes_on(tmp_path, hanging_backend):
    """In the worker of a data loader, which must also end in the end."""
    for name in ('a', 'open', 'decode', 'b'):
        write_video(tmp_path / f'{name}.mp4', num_frames=3)
    (tmp_path / 'captions.csv').write_text(
        'path,caption\n' + ''.join(f'{name}.mp4,{name}\n' for name in ('a', 'open', 'decode', 'b')))
    dataset = CaptionedFiles(ann_file='captions.csv', data_root=str(tmp_path), pipeline=[
        dict(type='LoadVideoFrames', num_frames=1, timeout=1.0), dict(type='ResizeCrop', size=8),
        dict(type='PackRetrievalInputs')])
    loader = DataLoader(dataset, num_workers=1, collate_fn=pseudo_collate)
    seen = [batch['data_samples'][0].captions[0] for batch in loader]
    assert seen == ['a', 'b', 'b', 'b']


def test_a_real_pipe_that_never_yields(tmp_path, monkeypatch, release):
    """The blocking call is FFmpeg's own here: open() of a pipe without a writer."""
    os.mkfifo(tmp_path / 'pipe.mp4')
    monkeypatch.setattr(video_reader.os.path, 'isfile', lambda path: True)
    monkeypatch.setattr(video_reader.os.path, 'getsize', lambda path: 1)
    with pytest.raises(MediaError, match='pipe.mp4: given up after 0.3 s'):
        LoadVideoFrames(timeout=0.3)(dict(path=str(tmp_path / 'pipe.mp4')))
    with open(tmp_path / 'pipe.mp4', 'wb') as pipe:  # lets the thread go
        pipe.write(b'no video')
