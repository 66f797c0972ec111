"""A resumed run is the run: bit by bit where nothing changed, by the new config where that is possible, or refused."""
import math
import shutil
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock, Mock

import pytest
import torch
from helpers.tiny_run import read_config
from mmengine.logging import MessageHub
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmcma.engine import ResumeHook
from mmcma.utils.errors import ConfigError

#: Every checkpoint is kept; the mean rank becomes better often, so that there is a best one to replace.
KEPT = {'default_hooks.checkpoint.max_keep_ckpts': -1, 'default_hooks.checkpoint.save_best': 't2v/MnR',
        'default_hooks.checkpoint.rule': 'less', 'visualizer.vis_backends': []}
BY_ITERATION = {'default_hooks.checkpoint.by_epoch': False}
WORKERS = [(0, False), (2, False), (2, True)]


class Run:
    """A training in ``folder``, to its end.

    Attributes:
        work: Its directory.
        rates: Learning rate of each iteration, by iteration.
        said: Its warnings.
    """

    def __init__(self, folder: Path, clip: str, resume: Path | None = None, **options) -> None:
        folder.mkdir(exist_ok=True)
        cfg = read_config(folder, clip, **{**KEPT, **options})
        cfg.load_from, cfg.resume = resume and str(resume), resume is not None
        MessageHub._instance_dict.clear()
        runner = Runner.from_cfg(cfg)
        self.work, self.rates, self.said = Path(cfg.work_dir), {}, []
        runner.logger.warning = self.said.append
        self._record(runner)
        self.model = runner.train()
        self.iterations = runner.iter
        for loop in (runner.train_loop, runner.val_loop):  # collected as garbage, each worker would be waited for 5 s
            loop.dataloader._iterator = None

    def _record(self, runner: Runner) -> None:
        call_hook = runner.call_hook

        def recording(name, **kwargs):
            if name == 'before_train_iter':
                self.rates[runner.iter] = runner.optim_wrapper.param_groups[0]['lr']
            call_hook(name, **kwargs)
        runner.call_hook = recording

    def state(self) -> dict:
        return {name: tensor for name, tensor in self.model.state_dict().items() if name.startswith('neck')}


def assert_equal(one: Run, other: Run) -> None:
    ours, theirs = one.state(), other.state()
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name
    best, expected = (torch.load(run.work / 'best.pth', weights_only=False) for run in (one, other))
    assert best['meta']['iter'] == expected['meta']['iter']
    assert all(torch.equal(tensor, expected['state_dict'][name]) for name, tensor in best['state_dict'].items())


@pytest.fixture(scope='module')
def undisturbed(tiny_clip, tmp_path_factory):
    """Gives the run with the options that was not interrupted; each is made once."""
    made = {}

    def give(**options) -> Run:
        key = str(options)
        if key not in made:
            made[key] = Run(tmp_path_factory.mktemp('undisturbed'), tiny_clip, **options)
        return made[key]
    return give


@pytest.mark.parametrize('workers, persistent', WORKERS)
def test_dropout_and_any_workers(tiny_clip, tmp_path, undisturbed, workers, persistent):
    options = {'train_dataloader.num_workers': workers, 'train_dataloader.persistent_workers': persistent}
    whole = undisturbed(**options)
    resumed = Run(tmp_path / 'resumed', tiny_clip, whole.work / 'epoch_1.pth', **options)
    assert_equal(resumed, whole)
    assert sorted(resumed.rates) == [4, 5, 6, 7] and not any('config' in text for text in resumed.said)


@pytest.mark.parametrize('neck', [
    dict(type='CrossModalAdapter', bottleneck_dim=4, shared_dim=8, dropout=0.3),
    dict(type='LoRA', r=2, lora_dropout=0.2), dict(type='AdaptFormer', bottleneck_dim=4, dropout=0.2),
    dict(type='BottleneckAdapter', bottleneck_dim=4, dropout=0.2)], ids=lambda neck: neck['type'])
def test_necks_with_dropout(tiny_clip, tmp_path, neck):
    options = {'train_dataloader.num_workers': 1, 'train_dataloader.persistent_workers': True,
               'model.neck': dict(neck, _delete_=True)}
    whole = Run(tmp_path / 'whole', tiny_clip, **options)
    assert_equal(Run(tmp_path / 'resumed', tiny_clip, whole.work / 'epoch_1.pth', **options), whole)


@pytest.mark.parametrize('workers', [0, 1])
@pytest.mark.parametrize('done', [1, 4, 6])
def test_the_middle_of_an_epoch(tiny_clip, tmp_path, undisturbed, done, workers):
    """Four iterations an epoch: 4 is the end of the first, before its validation."""
    options = {**BY_ITERATION, 'train_dataloader.num_workers': workers}
    whole = undisturbed(**options)
    resumed = Run(tmp_path / 'resumed', tiny_clip, whole.work / f'iter_{done}.pth', **options)
    assert sorted(resumed.rates) == list(range(done, 8))
    assert_equal(resumed, whole)


@pytest.mark.parametrize('done, waiting', [(2, 2), (3, 0), (4, 1)])
def test_between_two_updates(tiny_clip, tmp_path, done, waiting):
    """An update every three steps; without the gradients of the waiting ones the next would be another."""
    options = {**BY_ITERATION, 'optim_wrapper.accumulative_counts': 3}
    whole = Run(tmp_path / 'whole', tiny_clip, **options)
    checkpoint = whole.work / f'iter_{done}.pth'
    assert bool(waiting) == ('gradients' in torch.load(checkpoint, weights_only=False))
    resumed = Run(tmp_path / 'resumed', tiny_clip, checkpoint, **options)
    assert_equal(resumed, whole)
    assert not any('are lost' in text for text in resumed.said)


def test_gradients_that_a_checkpoint_lacks_are_said_to_be_lost(tiny_clip, tmp_path):
    options = {**BY_ITERATION, 'optim_wrapper.accumulative_counts': 3}
    whole = Run(tmp_path / 'whole', tiny_clip, **options)
    checkpoint = torch.load(whole.work / 'iter_2.pth', weights_only=False)
    del checkpoint['gradients']
    torch.save(checkpoint, whole.work / 'iter_2.pth')
    resumed = Run(tmp_path / 'resumed', tiny_clip, whole.work / 'iter_2.pth', **options)
    assert any('gradients of the last 2 steps' in text for text in resumed.said)


COSINE = dict(param_scheduler=[
    dict(type='LinearLR', start_factor=0.1, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(type='MultiStepLR', by_epoch=True, milestones=[2, 3], gamma=0.5)])


@pytest.mark.parametrize('changes, schedule', [
    ({'train_cfg.max_epochs': 4}, {}), ({'train_cfg.max_epochs': 4}, COSINE), ({'optim_wrapper.optimizer.lr': 0.5}, {}),
    ({'optim_wrapper.optimizer.lr': 0.5}, COSINE), ({'optim_wrapper.optimizer.weight_decay': 0.01}, {})],
    ids=lambda value: next(iter(value), 'ours'))
def test_rates_and_lengths_are_the_configs(tiny_clip, tmp_path, undisturbed, changes, schedule):
    first = undisturbed(**{'train_cfg.max_epochs': 2, **schedule})
    expected = Run(tmp_path / 'expected', tiny_clip, **{'train_cfg.max_epochs': 2, **schedule, **changes})
    resumed = Run(tmp_path / 'resumed', tiny_clip, first.work / 'epoch_1.pth',
                  **{'train_cfg.max_epochs': 2, **schedule, **changes})
    assert resumed.rates == {step: rate for step, rate in expected.rates.items() if step >= 4}
    (key, value), = changes.items()
    assert any(key in text and f'-> {value}' in text for text in resumed.said), resumed.said
    if 'weight_decay' in key:
        saved = torch.load(resumed.work / 'epoch_2.pth', weights_only=False)
        assert saved['optimizer']['param_groups'][0]['weight_decay'] == value


def test_another_batch_size_counts_epochs(tiny_clip, tmp_path, trained):
    resumed = Run(tmp_path / 'resumed', tiny_clip, trained / 'epoch_1.pth', **{'train_dataloader.batch_size': 24})
    assert sorted(resumed.rates) == [2, 3]  # of two an epoch
    assert resumed.rates[3] == pytest.approx(0.01 * (1 + math.cos(math.pi * 3 / 4)) / 2, rel=0.1)


def test_another_batch_size_within_an_epoch(tiny_clip, tmp_path, undisturbed):
    first = undisturbed(**BY_ITERATION, **{'train_dataloader.num_workers': 0})
    with pytest.raises(ConfigError, match='within an epoch of 4 batches, and an epoch has 2 now'):
        Run(tmp_path / 'resumed', tiny_clip, first.work / 'iter_2.pth',
            **{**BY_ITERATION, 'train_dataloader.batch_size': 24})


@pytest.mark.parametrize('key, value', [
    ('model.head.similarity', dict(type='MeanPool')), ('model.neck.dropout', 0.5),
    ('optim_wrapper.optimizer', dict(type='SGD', lr=0.1, _delete_=True)), ('randomness.seed', 7),
    ('train_dataloader.sampler.shuffle', False)])
def test_what_cannot_be_both_is_refused(tiny_clip, tmp_path, trained, key, value):
    with pytest.raises(ConfigError, match='resume: .*when the checkpoint was written') as refused:
        Run(tmp_path / 'resumed', tiny_clip, trained / 'epoch_1.pth', **{key: value})
    assert key.split('.')[-1] in str(refused.value) and '\n' not in str(refused.value)


@pytest.fixture(scope='module')
def trained(tiny_clip, tmp_path_factory) -> Path:
    """A run of two epochs."""
    return Run(tmp_path_factory.mktemp('trained'), tiny_clip).work


def best_name(work: Path, checkpoint: str) -> Path:
    """Where a checkpoint's best one lies now."""
    content = torch.load(work / checkpoint, weights_only=False)
    return work / Path(content['message_hub']['runtime_info']['best_ckpt']).name


def test_a_renamed_directory(tiny_clip, trained, tmp_path):
    """The best checkpoint of the run goes on being the one to beat, and to remove."""
    moved = tmp_path / 'work'
    shutil.copytree(trained, moved)
    (moved / 'epoch_2.pth').unlink()
    run = Run(tmp_path, tiny_clip, moved / 'epoch_1.pth')
    best, expected = (torch.load(folder / 'best.pth', weights_only=False) for folder in (run.work, trained))
    assert best['meta']['iter'] == expected['meta']['iter']
    assert len(list(moved.glob('best_t2v*'))) == 1


def test_the_best_file_is_gone(tiny_clip, trained, tmp_path):
    moved = tmp_path / 'work'
    shutil.copytree(trained, moved)
    for path in [*moved.glob('best*'), moved / 'epoch_2.pth']:
        path.unlink()
    shutil.move(trained, tmp_path / 'elsewhere')  # it is not where the checkpoint says either
    try:
        run = Run(tmp_path, tiny_clip, moved / 'epoch_1.pth')
    finally:
        shutil.move(tmp_path / 'elsewhere', trained)
    assert any('best checkpoint so far' in text and 'is gone' in text for text in run.said)
    assert (moved / 'best.pth').is_file() and best_name(moved, 'epoch_2.pth').is_file()


def test_the_best_of_another_directory_stays_there(tiny_clip, trained, tmp_path):
    before = {path.name: path.read_bytes() for path in trained.glob('*.pth')}
    Run(tmp_path, tiny_clip, trained / 'epoch_1.pth')
    assert before == {path.name: path.read_bytes() for path in trained.glob('*.pth')}


def test_nothing_left_to_train(tiny_clip, trained, tmp_path):
    run = Run(tmp_path, tiny_clip, trained / 'epoch_2.pth')
    assert run.rates == {} and any('Nothing is left to train: 2 of 2 epochs' in text for text in run.said)


def test_random_frames_are_told_the_epoch():
    """Also in data sets that another wraps."""
    told = []
    step = SimpleNamespace(begin_epoch=lambda *epoch: told.append(epoch))
    inner = SimpleNamespace(pipeline=SimpleNamespace(transforms=[object(), step]))
    dataset = SimpleNamespace(datasets=[inner, SimpleNamespace(dataset=inner)])
    loop = Mock(spec=EpochBasedTrainLoop, epoch=3, dataloader=MagicMock(dataset=dataset))
    ResumeHook().before_train_epoch(SimpleNamespace(train_loop=loop, seed=7))
    assert told == [(7, 3), (7, 3)]
