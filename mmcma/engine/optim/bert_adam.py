"""The optimizer of the released code."""
from collections.abc import Iterable
from typing import Any

import torch
from torch.optim import Optimizer

from mmcma.registry import OPTIMIZERS
from mmcma.utils.errors import argument_error


@OPTIMIZERS.register_module()
class BertAdam(Optimizer):
    """Adam as BERT was trained with: moments that start at zero are **not** corrected, weights decay decoupled.

    ``m = b1 m + (1 - b1) g``, ``v = b2 v + (1 - b2) g^2``, ``w -= lr (m / (sqrt(v) + eps) + decay w)``. Beside AdamW,
    which divides the moments by ``1 - b^t`` (Kingma and Ba 2015, section 3), step t is ``(1 - b1^t) / sqrt(1 - b2^t)``
    times as long on the same gradients: 0.71 at first, 1.5 after ten steps, 1.0 in the end for the released code's
    0.9 and 0.98. CLIP4Clip and the released Cross-Modal Adapter train with it. Gradients are
    clipped by the optimizer wrapper.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate.
        betas: Decay of the moments a step, each in [0, 1).
        eps: Added to the root of the second moment.
        weight_decay: Share of a weight that goes a step, times the learning rate.

    Raises:
        ConfigError: A value is out of range.
    """

    def __init__(self, params: Iterable, lr: float = 1e-5, betas: tuple[float, float] = (0.9, 0.98),
                 eps: float = 1e-6, weight_decay: float = 0.01) -> None:
        for name, value in dict(lr=lr, eps=eps, weight_decay=weight_decay).items():
            if not value >= 0:
                raise argument_error(self, name, value, 'must be 0 or more.')
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise argument_error(self, 'betas', betas, 'must be two values in [0, 1).')
        super().__init__(params, dict(lr=lr, betas=tuple(betas), eps=eps, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Moves the parameters that have a gradient; gives the loss that ``closure`` returns, None without one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group['params']:
                if parameter.grad is not None:
                    self._move(parameter, group)
        return loss

    def _move(self, parameter: torch.Tensor, group: dict) -> None:
        state = self.state[parameter]
        if not state:
            state.update(exp_avg=torch.zeros_like(parameter), exp_avg_sq=torch.zeros_like(parameter))
        first, second = group['betas']
        state['exp_avg'].lerp_(parameter.grad, 1 - first)
        state['exp_avg_sq'].mul_(second).addcmul_(parameter.grad, parameter.grad, value=1 - second)
        update = state['exp_avg'] / state['exp_avg_sq'].sqrt().add_(group['eps'])
        update.add_(parameter, alpha=group['weight_decay'])
        parameter.add_(update, alpha=-group['lr'])
