"""The method's learning rate schedule."""
import math

from mmengine.optim import _ParamScheduler

from mmcma.registry import PARAM_SCHEDULERS
from mmcma.utils.errors import argument_error


@PARAM_SCHEDULERS.register_module()
class WarmupCosineLR(_ParamScheduler):
    """Linear warm-up over a part of training, then a cosine to zero, in closed form and by iteration.

    mmengine's LinearLR and CosineAnnealingLR, one after the other, need the
    end of the warm-up in epochs, so that it moves when ``max_epochs`` does,
    and stay at the first rate for good where it lasts a single iteration.

    Args:
        optimizer: Supplied by the runner.
        warmup_ratio: Part of all iterations that the warm-up takes, in [0, 1).
        end: Iterations in all; supplied by the runner.
        by_epoch: Must be False; the runner reads it from the config to supply ``end``.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(self, optimizer, *, end: int, by_epoch: bool = False, warmup_ratio: float = 0.1,
                 last_step: int = -1) -> None:
        if by_epoch:
            raise argument_error(self, 'by_epoch', True, 'cannot be: it steps by iteration; set it to False.')
        if not 0 <= warmup_ratio < 1:
            raise argument_error(self, 'warmup_ratio', warmup_ratio, 'must be in [0, 1).')
        self.warmup_ratio = warmup_ratio
        super().__init__(optimizer, 'lr', end=end, by_epoch=False, last_step=last_step)

    def _get_value(self) -> list[float]:
        warmup = self.warmup_ratio * self.end
        done = self.last_step
        if done + 1 < warmup:
            factor = (done + 1) / warmup
        else:
            factor = (1 + math.cos(math.pi * max(0.0, (done - warmup) / (self.end - warmup)))) / 2
        return [base * factor for base in self.base_values]
