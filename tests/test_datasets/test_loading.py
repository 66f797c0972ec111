import sys
from functools import partial

import numpy as np
import pytest
from helpers.media import write_image, write_video
from mmengine.dataset import worker_init_fn
from mmengine.runner import set_random_seed
from torch.utils.data import DataLoader, Dataset

from mmcma.datasets import LoadVideoFrames
from mmcma.utils.errors import ConfigError, MediaError


def grey(number):
    return 20 + 5 * number


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    """Ten frames a second for four seconds."""
    return str(write_video(tmp_path_factory.mktemp('clips') / 'a.mp4', num_frames=40, paint=grey))


def numbers(results):
    """Which frames these are."""
    return [round((frame.mean() - 20) / 5) for frame in results['frames'][results['frame_mask']]]


@pytest.mark.parametrize('sampling, fps, expected', [
    ('uniform', 1.0, [0, 10, 30]), ('uniform', None, [0, 19, 39]), ('head', 1.0, [0, 10, 20]),
    ('tail', 1.0, [10, 20, 30]), ('head', None, [0, 1, 2]), ('tail', None, [37, 38, 39])])
def test_sampling(clip, sampling, fps, expected):
    results = LoadVideoFrames(num_frames=3, fps=fps, sampling=sampling)(dict(path=clip))
    assert numbers(results) == expected


def test_the_times_of_the_frames(clip):
    results = LoadVideoFrames(num_frames=6, fps=None)(dict(path=clip, start=1.0, end=3.0))
    np.testing.assert_allclose(results['frame_times'], [number / 10 for number in numbers(results)], atol=1e-3)
    assert results['duration'] == pytest.approx(4)
    short = LoadVideoFrames(num_frames=6)(dict(path=clip))
    np.testing.assert_allclose(short['frame_times'], [0, 1, 2, 3], atol=1e-3)  # none of padding
    drawn = LoadVideoFrames(num_frames=3, fps=None, sampling='random')(dict(path=clip))
    np.testing.assert_allclose(drawn['frame_times'], [number / 10 for number in numbers(drawn)], atol=1e-3)


@pytest.mark.parametrize('sampling', ['uniform', 'random', 'head', 'tail'])
def test_short_clips_are_masked(clip, sampling):
    results = LoadVideoFrames(num_frames=6, sampling=sampling)(dict(path=clip))
    assert results['frame_mask'].tolist() == [True] * 4 + [False] * 2
    assert numbers(results) == [0, 10, 20, 30] and not results['frames'][4:].any()


def test_random_frames_follow_the_seed(clip):
    load = LoadVideoFrames(num_frames=4, fps=None, sampling='random')

    def draw(seed):
        np.random.seed(seed)
        return [numbers(load(dict(path=clip))) for _ in range(3)]

    assert draw(0) == draw(0) != draw(1)
    assert len({tuple(picked) for picked in draw(0)}) > 1
    assert all([number // 10 for number in picked] == [0, 1, 2, 3] for picked in draw(0) + draw(1))


def test_other_policies_leave_the_seed_alone(clip):
    np.random.seed(0)
    LoadVideoFrames()(dict(path=clip))
    drawn = np.random.rand()
    np.random.seed(0)
    assert drawn == np.random.rand()


class _Same(Dataset):
    """One clip again and again."""

    def __init__(self, path):
        self.path, self.load = path, LoadVideoFrames(num_frames=4, fps=None, sampling='random')

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return numbers(self.load(dict(path=self.path)))


@pytest.mark.parametrize('persistent_workers', [False, True])
def test_random_frames_in_workers(clip, persistent_workers):
    """As mmengine seeds them. Each epoch draws others, and the seed decides which."""
    def draw(seed):
        set_random_seed(seed)
        init = partial(worker_init_fn, num_workers=2, rank=0, seed=seed)
        loader = DataLoader(_Same(clip), batch_size=None, num_workers=2, worker_init_fn=init,
                            persistent_workers=persistent_workers)
        return [list(loader) for _ in range(3)]

    epochs = draw(0)
    assert epochs == draw(0) != draw(1)
    assert epochs[0][0] != epochs[0][1]  # of two workers
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


class _Indexed(_Same):
    def __getitem__(self, index):
        return numbers(self.load(dict(path=self.path, sample_idx=index)))


@pytest.mark.parametrize('persistent_workers', [False, True])
def test_random_frames_are_those_of_the_epoch(clip, persistent_workers):
    """A run that goes on with its third epoch draws what one that began there does, in workers that stay too."""
    def draw(seed, epochs):
        data, found = _Indexed(clip), {}
        loader = DataLoader(data, batch_size=None, num_workers=2, persistent_workers=persistent_workers)
        for epoch in epochs:
            data.load.begin_epoch(seed, epoch)
            found[epoch] = list(loader)
        return found

    whole = draw(5, range(3))
    assert draw(5, [2])[2] == whole[2] != whole[1] != whole[0] != whole[2]
    assert draw(6, [2])[2] != whole[2]
    data = _Indexed(clip)
    data.load.begin_epoch(5, 2)
    assert [data[index] for index in range(6)] == whole[2]


@pytest.mark.parametrize('part, message', [
    (dict(start=5.0), 'a.mp4: start 5 s is beyond its end at 4 s'),
    (dict(start=3.0, end=2.0), 'a.mp4: end 2 s is not after start 3 s'),
    (dict(start=1.0, end=5.5), 'a.mp4: end 5.5 s is beyond its end at 4 s')])
def test_no_part_of_the_file(clip, part, message):
    with pytest.raises(MediaError, match=message):
        LoadVideoFrames()(dict(path=clip, **part))


def test_a_folder_is_sampled_by_time_too(tmp_path):
    for number in range(12):
        write_image(tmp_path / f'{number}.png', grey=grey(number))
    load = LoadVideoFrames(num_frames=3, fps=1.0, folder_fps=3.0)
    assert numbers(load(dict(path=str(tmp_path)))) == [0, 3, 9]
    assert numbers(load(dict(path=str(tmp_path), start=1.5, end=3.0))) == [4, 7]
    (tmp_path / 'empty').mkdir()
    with pytest.raises(MediaError, match='empty: cannot be read .folder: no images'):
        load(dict(path=str(tmp_path / 'empty')))


@pytest.mark.parametrize('options, message', [
    (dict(sampling='unifrom'), "sampling='unifrom' is none of .* Did you mean 'uniform'"),
    (dict(sampling=None), 'sampling=None is none of'),
    (dict(timeout=0), 'timeout=0 must be above 0 seconds'), (dict(fps=0), 'fps=0 must be above 0 frames per second'),
    (dict(folder_fps=float('inf')), 'folder_fps=inf must be above 0')])
def test_values_that_cannot_work(options, message):
    with pytest.raises(ConfigError, match=message):
        LoadVideoFrames(**options)


def test_decord_is_asked_for_by_name_only(monkeypatch):
    monkeypatch.setitem(sys.modules, 'decord', None)  # as where it is not installed
    with pytest.raises(ConfigError, match=r"backend='decord' needs decord.*pip install 'mmcma\[decord\]'"):
        LoadVideoFrames(backend='decord')
    LoadVideoFrames(backend='pyav')


@pytest.mark.parametrize('most, frames', [(1.0, [0.5]), (9.0, [0.5, 1.5, 2.5])])
def test_an_end_that_the_file_may_come_before(tmp_path, most, frames):
    load = LoadVideoFrames(num_frames=5)
    results = load(dict(path=str(write_video(tmp_path / 'a.mp4')), start=0.5, end_at_most=most))
    assert results['frame_times'].tolist() == frames
