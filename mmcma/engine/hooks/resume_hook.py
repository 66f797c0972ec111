"""Resumed training that ends where unbroken training would."""
from collections.abc import Iterator

from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmengine.runner.utils import set_random_seed
from torch import Tensor
from torch.utils.data import Dataset

from mmcma.engine.resumed_config import changes_since
from mmcma.engine.resumed_schedule import PlannedSchedule
from mmcma.registry import HOOKS
from mmcma.utils.errors import ConfigError


@HOOKS.register_module()
class ResumeHook(Hook):
    """Makes a killed and resumed run repeat the unbroken one, or says what it cannot repeat.

    mmengine's checkpoints hold weights, optimizer and schedules. What is
    missing or wrong for a run that goes on, this hook supplies:

    - the state of the random generators (dropout, augmentation in the main process), which is set anew from seed
      and iteration before every epoch and every step;
    - the frames that ``LoadVideoFrames(sampling='random')`` draws, which become those of the epoch;
    - the validation that a run was killed in, without which the best checkpoint could be missed;
    - the config's rates and lengths where they are no longer the checkpoint's: with more epochs, the
      schedules are those of the longer run. What differs is logged; what cannot be another is refused;
    - the number of iterations, where an epoch has become longer or shorter: by another batch size, or other data;
    - the gradients that ``accumulative_counts`` has added up since the last update, of a run of one process.

    Raises:
        ConfigError: The config differs from the checkpoint's in what its state depends on, the seed does, or
            the checkpoint lies within an epoch that has another length now.
    """

    # The validation that is made up for needs the other hooks to be ready.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self._planned: PlannedSchedule | None = None
        self._gradients: dict[str, Tensor] = {}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compares configs, and remembers what the state that is loaded next would replace."""
        if not runner._resume or runner._has_loaded or self._planned is not None:
            return
        meta = checkpoint['meta']
        if meta.get('seed') is not None and meta['seed'] != runner.seed:
            raise ConfigError(f'resume: the seed is {runner.seed} and was {meta["seed"]} when the checkpoint was '
                              'written: the order of the data stays through a run. Leave --seed out, or set '
                              f'randomness.seed to {meta["seed"]}.')
        changes = changes_since(checkpoint, runner.cfg)
        if changes:
            runner.logger.warning('Other than when the checkpoint was written; from here on the config counts:\n  '
                                  + '\n  '.join(changes))
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            meta['iter'] = _iterations(meta, len(runner.train_loop.dataloader))
        self._planned = PlannedSchedule(runner.optim_wrapper, runner.param_schedulers)
        self._gradients = checkpoint.get('gradients', {})

    def before_train(self, runner: Runner) -> None:
        """Takes rates and lengths from the config; validates a checkpoint where the loop would have."""
        if not runner._resume:
            return
        loop = runner.train_loop
        by_epoch = isinstance(loop, EpochBasedTrainLoop)
        if self._planned is not None and self._planned.differs():
            self._planned.restore(iters=loop.iter, epochs=loop.epoch,
                                  epoch_length=len(loop.dataloader) if by_epoch else None)
        self._restore_gradients(runner)
        done, end = (loop.epoch, loop.max_epochs) if by_epoch else (loop.iter, loop.max_iters)
        if done >= end:
            runner.logger.warning(f'Nothing is left to train: {done} of {end} {"epochs" if by_epoch else "iterations"} '
                                  'are done.')
        within = by_epoch and loop.iter != loop.epoch * len(loop.dataloader)
        due = done >= max(loop.val_begin, 1) and (done % loop.val_interval == 0 or done == end)
        if runner.val_loop is not None and due and not within:
            runner.val_loop.run()

    def before_train_epoch(self, runner: Runner) -> None:
        """Seeds the random generators from seed, rank and the epoch's first iteration."""
        loop = runner.train_loop
        by_epoch = isinstance(loop, EpochBasedTrainLoop)
        _seed(runner, loop.epoch * len(loop.dataloader) if by_epoch else loop.iter)
        for step in _steps(loop.dataloader.dataset) if by_epoch else ():
            if hasattr(step, 'begin_epoch'):
                step.begin_epoch(runner.seed, loop.epoch)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        """Seeds them from seed, rank and iteration: a loader's first iterator draws, later ones need not."""
        _seed(runner, runner.iter)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Adds ``meta.epoch_length``, the iterations of an epoch, and ``gradients`` between two updates."""
        meta = checkpoint['meta']
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            length = len(runner.train_loop.dataloader)
            # FlexibleRunner counts one epoch too many where the checkpoint follows a validation.
            meta.update(epoch_length=length, epoch=meta['iter'] // length)
        # Each process has gradients of its own until the update, and one of them writes.
        if get_world_size() == 1 and _steps_since_update(runner, meta['iter']):
            checkpoint['gradients'] = {name: parameter.grad for name, parameter in runner.model.named_parameters()
                                       if parameter.grad is not None}

    def _restore_gradients(self, runner: Runner) -> None:
        """Goes on adding up where the checkpoint was written between two updates, or says that it cannot."""
        steps = _steps_since_update(runner, runner.iter)
        if steps and not self._gradients:
            runner.logger.warning(f'The gradients of the last {steps} steps, which optim_wrapper.accumulative_counts='
                                  f'{runner.optim_wrapper._accumulative_counts} had not applied yet, are not in the '
                                  'checkpoint (several processes wrote it, or an earlier version): they are lost.')
        parameters = dict(runner.model.named_parameters())
        for name, gradient in self._gradients.items() if steps else ():
            parameters[name].grad = gradient.to(parameters[name].device)
        self._gradients = {}


def _steps(dataset: Dataset) -> Iterator:
    """The steps of the pipelines of a data set and of those that it wraps."""
    yield from getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
    for inner in [*getattr(dataset, 'datasets', ()), *filter(None, [getattr(dataset, 'dataset', None)])]:
        yield from _steps(inner)


def _steps_since_update(runner: Runner, done: int) -> int:
    """Steps whose gradients wait for the optimizer's update, after ``done`` of all."""
    counts = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
    return 0 if done == runner.max_iters else done % counts


def _iterations(meta: dict, now: int) -> int:
    """The iterations that are done, counted in epochs of ``now`` batches."""
    epochs, done = meta['epoch'], meta['iter']
    before = meta.get('epoch_length')
    if before is None:  # written before this was recorded
        before = now if 0 <= done - epochs * now <= now else done // max(epochs, 1)
    if before == now:
        return done
    if done != epochs * before:
        raise ConfigError(f'resume: the checkpoint lies within an epoch of {before} batches, and an epoch has {now} '
                          'now (train_dataloader.batch_size, data, number of processes): put it back, or resume a '
                          'checkpoint that ends an epoch.')
    return epochs * now


def _seed(runner: Runner, iteration: int) -> None:
    # The multiplier keeps the streams of ranks apart; the modulus is NumPy's.
    set_random_seed((runner.seed + iteration + 1_000_003 * get_rank()) % 2 ** 32)
