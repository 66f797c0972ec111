"""The method's learning rate schedule."""
import math
from typing import Literal

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
        warmup_ratio: Part w of all iterations that the warm-up takes, in [0, 1).
        cosine_over: ``'rest'``: of what follows the warm-up, the cosine goes from the full rate to zero, and the first
            step has a rate above zero. ``'all'``, as the released code: the rate is ``lr (1 + cos(pi t)) / 2`` with t
            the part of **all** iterations that is over, ``lr t / w`` before t = w; it falls by
            ``(1 - cos(pi w)) / 2`` where the warm-up ends (2.4 % for a tenth), and the first step has rate 0.
        end: Iterations in all; supplied by the runner.
        by_epoch: Must be False; the runner reads it from the config to supply ``end``.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(self, optimizer, *, end: int, by_epoch: bool = False, warmup_ratio: float = 0.1,
                 cosine_over: Literal['rest', 'all'] = 'rest', last_step: int = -1) -> None:
        if by_epoch:
            raise argument_error(self, 'by_epoch', True, 'cannot be: it steps by iteration; set it to False.')
        if not 0 <= warmup_ratio < 1:
            raise argument_error(self, 'warmup_ratio', warmup_ratio, 'must be in [0, 1).')
        if cosine_over not in ('rest', 'all'):
            raise argument_error(self, 'cosine_over', cosine_over, "must be 'rest' or 'all'.")
        self.warmup_ratio, self.cosine_over = warmup_ratio, cosine_over
        super().__init__(optimizer, 'lr', end=end, by_epoch=False, last_step=last_step)

    def _get_value(self) -> list[float]:
        warmup, done = self.warmup_ratio * self.end, self.last_step
        factor = self._released(warmup, done) if self.cosine_over == 'all' else self._from_the_peak(warmup, done)
        return [base * factor for base in self.base_values]

    def _released(self, warmup: float, done: int) -> float:
        return done / warmup if done < warmup else (1 + math.cos(math.pi * done / self.end)) / 2

    def _from_the_peak(self, warmup: float, done: int) -> float:
        if done + 1 < warmup:
            return (done + 1) / warmup
        return (1 + math.cos(math.pi * max(0.0, (done - warmup) / (self.end - warmup)))) / 2
