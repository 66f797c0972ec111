"""What one training step costs: time and memory."""
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmcma.registry import MODELS


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
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    if torch.cuda.is_available():
        model.cuda()
    model.train()
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    memory = PeakMemory()
    seconds = []
    for _ in range(steps + 1):
        began = time.perf_counter()
        model.train_step(batch, optim_wrapper)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return StepCost(seconds[1:], memory.peak(), sum(p.numel() for p in model.trainable_parameters().values()))


class PeakMemory:
    """The highest memory use since it was made; on the CPU by Linux's account of the process."""

    def __init__(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated()
        else:
            Path('/proc/self/clear_refs').write_text('5')  # sets the high-water mark back to what is in use
            self._before = _resident('VmRSS')

    def peak(self) -> int:
        """Bytes beyond those in use at the beginning."""
        now = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else _resident('VmHWM')
        return now - self._before


def _resident(field: str) -> int:
    lines = Path('/proc/self/status').read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f'{field}:'))
