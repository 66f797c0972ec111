"""Rates and options of a resumed run as its config says, where that is another than the checkpoint's."""
import copy
import warnings
from typing import Any

from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.optim.scheduler.param_scheduler import _ParamScheduler

#: What a scheduler's state says of how far it is; the rest is what it was made with.
_PROGRESS = {'optimizer', 'last_step', '_global_step', '_last_value', 'verbose'}


class PlannedSchedule:
    """What a config says of an optimizer's options and their schedules, taken before a checkpoint's replace it.

    mmengine's state of a scheduler holds its length, and that of an optimizer its
    rate: loaded, they count in place of the config's.

    Args:
        optim_wrapper: As built, with its schedulers' first step.
        schedulers: Those schedulers; a dict of lists where there are several optimizers.
    """

    def __init__(self, optim_wrapper: OptimWrapper, schedulers: list | dict | None) -> None:
        self._optim_wrapper, self._schedulers = optim_wrapper, _flat(schedulers)
        self._options = [_options(group) for group in _groups(optim_wrapper)]
        self._states = [copy.deepcopy(scheduler.state_dict()) for scheduler in self._schedulers]

    def differs(self) -> bool:
        """Whether what was loaded since has other options, rates or lengths."""
        scheduled = {scheduler.param_name for scheduler in self._schedulers}
        loaded = [_options(group) for group in _groups(self._optim_wrapper)]
        return (any(_constant(old, scheduled) != _constant(new, scheduled)
                    for old, new in zip(loaded, self._options, strict=True))
                or any(_made_with(scheduler.state_dict()) != _made_with(state)
                       for scheduler, state in zip(self._schedulers, self._states)))

    def restore(self, *, iters: int, epochs: int, epoch_length: int | None) -> None:
        """Puts the config's options back, and its schedules where they would be now had they held from the beginning.

        Schedules that follow a metric stay as they were loaded, with all of their options.

        Args:
            iters: Iterations that are done.
            epochs: Epochs that are done.
            epoch_length: Iterations of an epoch; None where training is not by epochs.
        """
        if any(getattr(scheduler, 'need_val_args', False) for scheduler in self._schedulers):
            return
        for group, options in zip(_groups(self._optim_wrapper), self._options, strict=True):
            group.update(options)
        for scheduler, state in zip(self._schedulers, self._states):
            scheduler.load_state_dict(copy.deepcopy(state))
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of steps of a schedule without one of the optimizer
            for done in range(1, iters + 1):
                self._step(by_epoch=False)
                if epoch_length and done % epoch_length == 0 and done <= epochs * epoch_length:
                    self._step(by_epoch=True)

    def _step(self, by_epoch: bool) -> None:
        for scheduler in self._schedulers:
            if scheduler.by_epoch is by_epoch:
                scheduler.step()


def _flat(schedulers: list | dict | None) -> list[_ParamScheduler]:
    return sum(schedulers.values(), []) if isinstance(schedulers, dict) else list(schedulers or [])


def _groups(optim_wrapper: OptimWrapper) -> list[dict]:
    if isinstance(optim_wrapper, OptimWrapperDict):
        return sum((list(one.param_groups) for one in optim_wrapper.values()), [])
    return list(optim_wrapper.param_groups)


def _options(group: dict) -> dict[str, Any]:
    return {name: copy.deepcopy(value) for name, value in group.items() if name != 'params'}


def _constant(options: dict[str, Any], scheduled: set[str]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in scheduled}


def _made_with(state: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in state.items() if name not in _PROGRESS}
