"""Resumed training that ends where unbroken training would."""
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmengine.runner.utils import set_random_seed

from mmcma.registry import HOOKS


@HOOKS.register_module()
class ResumeHook(Hook):
    """Makes a killed and resumed run repeat the unbroken one.

    mmengine's checkpoints hold weights, optimizer and schedules. Two things
    are missing: the state of the random generators (dropout, augmentation in
    the main process), which this hook sets anew from seed and iteration where
    an epoch begins; and the validation that a run was killed in, without
    which the best checkpoint could be missed: it is made up for.
    """

    # The validation that is made up for needs the other hooks to be ready.
    priority = 'LOWEST'

    def before_train(self, runner: Runner) -> None:
        """Validates a resumed checkpoint where the loop would have validated it."""
        loop = runner.train_loop
        by_epoch = isinstance(loop, EpochBasedTrainLoop)
        done, end = (loop.epoch, loop.max_epochs) if by_epoch else (loop.iter, loop.max_iters)
        due = done >= max(loop.val_begin, 1) and (done % loop.val_interval == 0 or done == end)
        if runner._resume and runner.val_loop is not None and due:
            runner.val_loop.run()

    def before_train_epoch(self, runner: Runner) -> None:
        """Seeds the random generators from seed, iteration and rank."""
        self._seed(runner)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        """Seeds them at every iteration of an iteration-based loop, which is one epoch from end to end."""
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            self._seed(runner)

    @staticmethod
    def _seed(runner: Runner) -> None:
        # The multiplier keeps the streams of ranks apart; the modulus is NumPy's.
        set_random_seed((runner.seed + runner.iter + 1_000_003 * get_rank()) % 2 ** 32)
