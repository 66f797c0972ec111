"""Tests before and after training, for a report."""
import time
from collections.abc import Sequence
from pathlib import Path

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner
from torch.distributed.fsdp import FullyShardedDataParallel

from mmcma.checkpoints.identity import backbone_identity
from mmcma.engine.hooks.best_checkpoint_hook import best_checkpoint, stable_name
from mmcma.engine.hooks.collapse_hook import FAULT
from mmcma.engine.loops import retrieval_result, run_test, unwrapped
from mmcma.engine.measured import Measured
from mmcma.engine.retrieval_report import print_report, write_panels, write_report
from mmcma.engine.run_facts import run_facts
from mmcma.evaluation import RetrievalResult
from mmcma.registry import HOOKS
from mmcma.visualization.hardest_queries import hardest_queries


@HOOKS.register_module()
class RetrievalReportHook(Hook):
    """Tests before and after training, prints one table and writes a report.

    Before training the test loop runs once with the model's neck switched off
    (``zero_shot.json`` in the work directory; a resumed run reads it again).
    After training it runs with the best checkpoint, or the last where none is
    best, and the model keeps those weights. Then ``report.json``,
    ``report.html`` and the plots are written, and ``query_panels.png``, which
    goes to the run's visual backends too: a few queries with their answers.
    Training itself is the same with and without the hook: mode and random generators are put back.

    Where only a test runs (``tools/test.py``) the same is made of that test,
    in the log directory of the run, so that the report of a training in the same
    work directory stays.

    Args:
        zero_shot: Whether to test before training.
        num_hardest: How many of the worst ranked captions the page shows.
        num_panels: How many of the best and of the worst ranked captions are drawn; 0 for no panels.
        out_dir: Where the report goes; None for the places said above.
    """

    # After the hooks that save checkpoints and check frozen weights.
    priority = 'LOWEST'

    def __init__(self, *, zero_shot: bool = True, num_hardest: int = 12, num_panels: int = 2,
                 out_dir: str | None = None) -> None:
        self.zero_shot = zero_shot
        self.num_hardest = num_hardest
        self.num_panels = num_panels
        self.out_dir = out_dir
        self._measured: dict[str, Measured] = {}
        self._in_own_test = False
        self._test_began = self._training_began = 0.0

    def before_run(self, runner: Runner) -> None:
        """Asks for the backbone's identity before any weights are loaded or trained; the model remembers it."""
        if is_main_process():
            backbone_identity(unwrapped(runner.model))

    def before_train(self, runner: Runner) -> None:
        """Tests the model without its neck."""
        if self.zero_shot and runner._test_loop is not None:
            self._measure_zero_shot(runner)
        self._training_began = time.perf_counter()

    def after_train(self, runner: Runner) -> None:
        """Tests the best checkpoint and reports."""
        seconds = time.perf_counter() - self._training_began
        if runner._test_loop is None:
            return
        checkpoint = best_checkpoint(runner)
        if checkpoint is not None:
            runner.load_checkpoint(str(checkpoint), map_location='cpu')
        self._test(runner)
        if is_main_process():
            self._report(runner, 'adapted', checkpoint and stable_name(runner, checkpoint), runner.work_dir,
                         training=seconds)

    def before_test_epoch(self, runner: Runner) -> None:
        """Starts the clock."""
        self._test_began = time.perf_counter()

    def after_test_epoch(self, runner: Runner, metrics=None) -> None:
        """Reports a test that is not part of a training."""
        if not self._in_own_test and is_main_process():
            checkpoint = Path(runner._load_from) if runner._load_from else None
            self._report(runner, 'adapted' if checkpoint else 'zero-shot', checkpoint, runner.log_dir)

    def _measure_zero_shot(self, runner: Runner) -> None:
        path = Path(runner.work_dir) / 'zero_shot.json'
        known = [runner._resume and path.is_file()]
        broadcast_object_list(known)  # the ranks may not see the same folder
        if known[0]:
            self._measured = {'zero-shot': Measured.read(path)} if is_main_process() else {}
            return
        model = unwrapped(runner.model)
        if runner._has_loaded and not all(name.startswith('neck.') for name in model.trainable_parameters()):
            runner.logger.warning('Zero-shot is not measured: the weights that were loaded differ from the '
                                  'pretrained ones also outside the neck.')
            return
        runner.logger.info('Testing zero-shot: without the neck, before training.')
        with model.zero_shot():
            self._test(runner)
        result = retrieval_result(runner)
        if result is not None and is_main_process():
            self._measured['zero-shot'] = Measured.of(result, time.perf_counter() - self._test_began)
            self._measured['zero-shot'].write(path)

    def _test(self, runner: Runner) -> None:
        self._in_own_test = True
        try:
            run_test(runner)
        finally:
            self._in_own_test = False

    def _report(self, runner: Runner, name: str, checkpoint: Path | None, place: str, **seconds: float) -> None:
        result = retrieval_result(runner)
        if result is None:
            runner.logger.warning('No report: test_evaluator has no RetrievalMetric.')
            return
        now = Measured.of(result, time.perf_counter() - self._test_began)
        if not all(of.same_test_as(now) for of in self._measured.values()):
            runner.logger.warning('Zero-shot was measured before this run was resumed, on another test set or by '
                                  'another protocol: left out.')
            self._measured = {}
        measured = {**self._measured, name: now}
        seconds.update((f'{key}_test', of.seconds) for key, of in measured.items())
        folder = Path(self.out_dir or place)
        hardest = hardest_queries(result, self.num_hardest, runner.test_dataloader.dataset.__getitem__)
        fault = runner.message_hub.runtime_info.get(FAULT)
        facts = dict(run_facts(runner, checkpoint), seconds=seconds, training_fault=fault)
        write_report(folder, measured, result, facts, hardest, _curves(runner) if 'training' in seconds else None)
        # Sharded weights are whole only while all processes run the model together.
        if self.num_panels and not isinstance(runner.model, FullyShardedDataParallel):
            self._draw_panels(runner, result, folder / 'query_panels.png')
        print_report(measured, checkpoint, folder / 'report.html', fault)

    def _draw_panels(self, runner: Runner, result: RetrievalResult, path: Path) -> None:
        try:
            image = write_panels(path, unwrapped(runner.model), result, runner.test_dataloader.dataset.__getitem__,
                                 self.num_panels)
            # Asking a runner that does not train for its epoch would build the training data.
            epoch = runner.epoch if isinstance(runner._train_loop, BaseLoop) else 0
            runner.visualizer.add_image(path.stem, image, epoch)
        except Exception as error:  # a run does not end for want of an image, whatever the model and its data are
            runner.logger.warning(f'No query panels: {type(error).__name__}: {error}')


def _curves(runner: Runner) -> dict[str, Sequence[float]] | None:
    """What mmengine kept of each step, also of those before the run was resumed."""
    scalars = runner.message_hub.log_scalars
    if not {'train/loss', 'train/lr'} <= scalars.keys():
        return None
    loss, rates = (scalars[f'train/{name}'].data[0].tolist() for name in ('loss', 'lr'))
    return dict(loss=loss, rates=rates)
