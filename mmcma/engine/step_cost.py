"""What one training step costs: time and memory."""
import ctypes
import gc
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_start_method

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmcma.utils.process_memory import forget_highest, highest_resident, resident


@dataclass(frozen=True)
class StepCost:
    """Of one training step.

    Attributes:
        seconds: Of each measured step.
        peak_bytes: The most memory in use during the steps beyond what was in
            use before the first one: activations, gradients and optimizer state,
            without the weights. Of the device where there is a GPU, else of the process.
        trainable: Number of parameters that train.
    """
    seconds: list[float]
    peak_bytes: int
    trainable: int


def measure_steps(cfg: Config, *, steps: int) -> StepCost:
    """Trains on the config's first batch, the same one again and again, and takes the time.

    One step more is done beforehand; it counts for memory and not for time.

    Args:
        cfg: A whole config; its model, training data and optimizer are built.
        steps: How many are timed.
    """
    init_default_scope(cfg.get('default_scope', 'mmcma'))
    loader = dict(cfg.train_dataloader, num_workers=0, persistent_workers=False)
    batch = next(iter(Runner.build_dataloader(loader, seed=0)))
    step = TrainingStep(cfg, batch)
    memory = PeakMemory()
    seconds = [timed(step) for _ in range(steps + 1)]
    return StepCost(seconds[1:], memory.peak(), sum(p.numel() for p in step.model.trainable_parameters().values()))


class TrainingStep:
    """A config's training step as the runner does it, on one batch again and again.

    What acts on a step is as in training: precision, compilation (``compile``),
    ``activation_checkpointing``, the optimizer and the clipping of gradients.
    Hooks that report, save or check take no part, nor does the schedule of the learning rate.

    Args:
        cfg: A whole config; its model and optimizer are built.
        batch: What the data loader would give.

    Attributes:
        model: The model.
        optim_wrapper: mmengine's wrapper of its optimizer.
    """

    def __init__(self, cfg: Config, batch: dict) -> None:
        self._batch = batch
        with tempfile.TemporaryDirectory() as folder:
            runner = Runner(
                model=cfg.model, work_dir=folder, train_dataloader=[batch], train_cfg=dict(type='UntrainedLoop'),
                optim_wrapper=cfg.optim_wrapper, custom_hooks=[dict(type='ActivationCheckpointHook')],
                default_hooks=dict.fromkeys(_DEFAULT_HOOKS), randomness=dict(seed=0), log_level='ERROR',
                default_scope=cfg.get('default_scope', 'mmcma'), experiment_name=folder, cfg=cfg,
                env_cfg=dict(mp_cfg=dict(mp_start_method=get_start_method())))
            runner.train()
        self.model, self.optim_wrapper = runner.model, runner.optim_wrapper
        self.model.train()

    def __call__(self) -> float:
        """Does the step; returns the loss."""
        return self.model.train_step(self._batch, optim_wrapper=self.optim_wrapper)['loss'].item()


def timed(work: Callable[[], object]) -> float:
    """Seconds that ``work`` takes, to its end on a GPU too."""
    began = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


_DEFAULT_HOOKS = ('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')


class PeakMemory:
    """The highest memory use since it was made; on the CPU by Linux's account of the process."""

    def __init__(self) -> None:
        gc.collect()
        if not torch.cuda.is_available():
            ctypes.CDLL(None).malloc_trim(0)  # memory that is freed but kept would hide what is taken later
        self._before = torch.cuda.memory_allocated() if torch.cuda.is_available() else resident()
        self.restart()

    def restart(self) -> None:
        """Forgets what was highest; what counts as in use before stays."""
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        else:
            forget_highest()

    def peak(self) -> int:
        """Bytes beyond those in use at the beginning."""
        now = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else highest_resident()
        return now - self._before
