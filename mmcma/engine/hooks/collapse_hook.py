"""Training that cannot learn, found by what it is."""
import math
from collections import deque
from dataclasses import dataclass

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor
from torch.nn import functional as F

from mmcma.engine.loops import unwrapped
from mmcma.registry import HOOKS
from mmcma.structures import Features
from mmcma.utils.errors import argument_error

#: Key of the verdict in the runner's message hub, for the report.
FAULT = 'training_fault'

# A collapse: the loss is within this part of what it is by chance, the embeddings of captions or of items have less
# than this spread (one minus the squared length of the mean unit vector: 0 where all are equal, 1 where they cancel),
# and the gradient is shorter than this. Healthy training of the small CLIP has spreads and gradients above 0.1.
_AT_CHANCE, _SPREAD, _GRADIENT = 0.02, 0.01, 0.1


@dataclass(frozen=True)
class Step:
    """What a training step came to.

    Attributes:
        pairs: Captions in the batch of all processes.
        alone: Whether they all show one item, so that there is nothing to tell apart.
        loss: Its value.
        chance: The loss of scores that are all equal.
        spread: Of the embeddings, captions' or items', whichever is less.
        gradient: Norm before clipping; None where it is not clipped, and so not known.
    """
    pairs: int
    alone: bool
    loss: float
    chance: float
    spread: float
    gradient: float | None

    @property
    def collapsed(self) -> bool:
        """Whether nothing is told apart, and no gradient leads out of it."""
        return (not self.alone and abs(self.loss - self.chance) < _AT_CHANCE * self.chance and self.spread < _SPREAD
                and (self.gradient is None or self.gradient < _GRADIENT))


@HOOKS.register_module()
class CollapseHook(Hook):
    """Warns of training that learns nothing, once while it goes on, and for the report where it ends like that.

    Two kinds are known: batches of one item, in which a contrastive loss has
    nothing to tell apart, and a collapse, mostly by too high a rate, in which
    all embeddings are equal, the loss is that of guessing and the gradient vanishes.

    Args:
        steps: How many in a row it takes, or all of a training that is shorter.

    Raises:
        ConfigError: ``steps`` is below 1.
    """

    # Before the report.
    priority = 'LOW'

    def __init__(self, *, steps: int = 10) -> None:
        if steps < 1:
            raise argument_error(self, 'steps', steps, 'must be at least 1.')
        self._last: deque[Step] = deque(maxlen=steps)
        self._features: tuple[Tensor, Tensor] | None = None
        self._outcome: tuple[Tensor, Tensor, Tensor] | None = None
        self._warned = False
        self._handles: list = []

    def before_train(self, runner: Runner) -> None:
        """Looks at what the head scores, and at what its loss is given."""
        head = unwrapped(runner.model).head
        self._handles = [head.register_forward_pre_hook(torch.compiler.disable(self._see_features)),
                         head.loss_fn.register_forward_hook(torch.compiler.disable(self._see_loss))]

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Judges the step."""
        if self._features is None or self._outcome is None:
            return
        self._last.append(self._step(runner, self._features, self._outcome))
        self._features = self._outcome = None
        if len(self._last) == self._last.maxlen:
            self._warn(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Warns after an epoch that is shorter than ``steps``."""
        self._warn(runner)

    def after_train(self, runner: Runner) -> None:
        """Leaves the verdict for the report."""
        for handle in self._handles:
            handle.remove()
        if (fault := self._fault()) is not None:
            runner.message_hub.update_info(FAULT, fault)

    def _see_features(self, head, features: tuple[Features, Features]) -> None:
        if torch.is_grad_enabled():
            text, visual = features
            self._features = text.pooled.detach(), visual.pooled.detach()

    def _see_loss(self, loss_fn, given: tuple[Tensor, Tensor], loss: Tensor) -> None:
        if torch.is_grad_enabled():
            logits, positives = given
            with torch.no_grad():
                chance = loss_fn.forward(logits.mean().expand_as(logits), positives)
            self._outcome = loss.detach(), chance, positives

    @staticmethod
    def _step(runner: Runner, features: tuple[Tensor, Tensor], outcome: tuple[Tensor, Tensor, Tensor]) -> Step:
        loss, chance, positives = outcome
        spread = torch.stack([1 - F.normalize(x.float(), dim=-1).mean(dim=0).square().sum() for x in features])
        norms = runner.message_hub.log_scalars.get('train/grad_norm')
        return Step(pairs=len(positives), alone=bool(positives.all()), loss=loss.item(), chance=chance.item(),
                    spread=spread.min().item(), gradient=None if norms is None else float(norms.current()))

    def _warn(self, runner: Runner) -> None:
        fault = self._fault()
        if fault is not None and not self._warned:
            runner.logger.warning(fault)
        self._warned = self._warned or fault is not None

    def _fault(self) -> str | None:
        if not self._last:
            return None
        count, last = len(self._last), self._last[-1]
        if all(step.alone for step in self._last):
            return (f'Nothing is learnt: each of the last {count} batches shows one item only (pairs: {last.pairs}), '
                    f'and there is nothing to tell it from; the loss is {last.loss:.3g}. Raise '
                    'train_dataloader.batch_size, and train on more than one item.')
        if all(step.collapsed for step in self._last):
            gradient = '' if last.gradient is None else f', the gradient {last.gradient:.2g}'
            return (f'Training has collapsed: for {count} steps the loss has been that of guessing, {last.loss:.3f} '
                    f'(ln {last.pairs} = {math.log(last.pairs):.3f} where every pair is another item), all embeddings '
                    f'are nearly equal (spread {last.spread:.1g}){gradient}. Begin anew with a lower rate: '
                    'optim_wrapper.optimizer.lr, a tenth at first.')
        return None
