"""What a run came to: tests before and after training, a table, and a report to read."""
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from platform import python_version

import mmengine
import numpy as np
import torch
from mmengine.dist import broadcast_object_list, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.console import Console
from torch.distributed.fsdp import FullyShardedDataParallel

from mmcma import __version__
from mmcma.checkpoints.identity import backbone_identity
from mmcma.engine.loops import unwrapped
from mmcma.engine.retrieval_report import Measured, write_report
from mmcma.evaluation import RetrievalMetric, RetrievalResult
from mmcma.registry import HOOKS
from mmcma.utils.files import write_atomic
from mmcma.visualization.hardest_queries import hardest_queries, shown_frames
from mmcma.visualization.plots import pixels
from mmcma.visualization.query_panels import draw_query_panels
from mmcma.visualization.report_table import kind_table, result_table
from mmcma.visualization.result_panels import result_panels


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
        self._backbone: dict | None = None
        self._in_own_test = False
        self._test_began = self._training_began = 0.0

    def before_run(self, runner: Runner) -> None:
        """Takes the backbone's identity, which is that before any weights are loaded or trained."""
        if is_main_process() and self._backbone is None:
            self._backbone = backbone_identity(unwrapped(runner.model))
            # Of folders the last part will do: where they lie concerns this machine only.
            parts = self._backbone['name'].split(' + ')
            self._backbone['name'] = ' + '.join(Path(part).name if Path(part).is_absolute() else part
                                                for part in parts)

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
        checkpoint = _best_checkpoint(runner)
        if checkpoint is not None:
            runner.load_checkpoint(str(checkpoint), map_location='cpu')
        self._test(runner)
        if is_main_process():
            stable = Path(runner.work_dir) / 'best.pth'
            if checkpoint is not None and _is_best(runner, checkpoint) and stable.is_file():
                checkpoint = stable
            folder = Path(self.out_dir or runner.work_dir)
            self._report(runner, 'adapted', checkpoint, folder, training=seconds)

    def before_test_epoch(self, runner: Runner) -> None:
        """Starts the clock."""
        self._test_began = time.perf_counter()

    def after_test_epoch(self, runner: Runner, metrics=None) -> None:
        """Reports a test that is not part of a training."""
        if not self._in_own_test and is_main_process():
            checkpoint = Path(runner._load_from) if runner._load_from else None
            self._report(runner, 'adapted' if checkpoint else 'zero-shot', checkpoint,
                         Path(self.out_dir or runner.log_dir))

    def _measure_zero_shot(self, runner: Runner) -> None:
        path = Path(runner.work_dir) / 'zero_shot.json'
        known = [runner._resume and path.is_file()]
        broadcast_object_list(known)  # the ranks may not see the same folder
        if known[0]:
            self._measured = {'zero-shot': Measured.read(path)} if is_main_process() else {}
            return
        if _neck_off_is_not_zero_shot(runner):
            runner.logger.warning('Zero-shot is not measured: the weights that were loaded differ from the '
                                  'pretrained ones also outside the neck.')
            return
        runner.logger.info('Testing zero-shot: without the neck, before training.')
        with unwrapped(runner.model).zero_shot():
            self._test(runner)
        result = _result(runner)
        if result is not None and is_main_process():
            self._measured['zero-shot'] = Measured.of(result, time.perf_counter() - self._test_began)
            self._measured['zero-shot'].write(path)

    def _test(self, runner: Runner) -> None:
        was_training = runner.model.training
        self._in_own_test = True
        try:
            with _same_random_state():
                runner.test_loop.run()
        finally:
            self._in_own_test = False
            runner.model.train(was_training)

    def _report(self, runner: Runner, name: str, checkpoint: Path | None, folder: Path,
                **seconds: float) -> None:
        result = _result(runner)
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
        facts = _facts(runner, checkpoint) | dict(backbone=self._backbone, seconds=seconds)
        dataset = runner.test_dataloader.dataset
        hardest = hardest_queries(result, self.num_hardest, lambda index: shown_frames(dataset[index]))
        write_report(folder, measured, facts, hardest)
        # Sharded weights are whole only while all processes run the model together.
        if self.num_panels and not isinstance(runner.model, FullyShardedDataParallel):
            self._draw_panels(runner, result, folder / 'query_panels.png')
        _print(measured, checkpoint, folder / 'report.html')

    def _draw_panels(self, runner: Runner, result: RetrievalResult, path: Path) -> None:
        model, was_training = unwrapped(runner.model), runner.model.training
        try:
            runner.model.eval()
            panels = result_panels(model, result, runner.test_dataloader.dataset.__getitem__, self.num_panels)
            image = draw_query_panels(panels)
            write_atomic(image, path)
            runner.visualizer.add_image(path.stem, pixels(image), runner.epoch)
        except Exception as error:  # a run does not end for want of an image, whatever the model and its data are
            runner.logger.warning(f'No query panels: {type(error).__name__}: {error}')
        finally:
            runner.model.train(was_training)


def _print(measured: dict[str, Measured], checkpoint: Path | None, page: Path) -> None:
    results = {name: of.metrics for name, of in measured.items()}
    last = list(measured.values())[-1]
    console = Console(highlight=False, markup=False)
    console.print()
    title = (f'Test, gallery: {last.metrics["gallery"]} items, {last.num_captions:,} captions, '
             f'V2T by {last.protocols["v2t"]}')
    console.print(result_table(results, title, last.folds))
    if last.caption_kinds:
        console.print(kind_table(results, last.caption_kinds))
    if checkpoint is not None:
        console.print(f'checkpoint  {_shown(checkpoint)}', soft_wrap=True)
    console.print(f'report      {_shown(page)}', soft_wrap=True)


def _shown(path: Path, base: Path | None = None) -> str:
    """Relative where the path lies below ``base``, by default the working directory."""
    path, base = path.resolve(), (base or Path.cwd()).resolve()
    return str(path.relative_to(base) if path.is_relative_to(base) else path)


def _result(runner: Runner) -> RetrievalResult | None:
    metrics = (metric for metric in runner.test_loop.evaluator.metrics if isinstance(metric, RetrievalMetric))
    return next((metric.result for metric in metrics), None)


def _best_checkpoint(runner: Runner) -> Path | None:
    """The best checkpoint, else the last, as rank 0 sees them; None if none was saved."""
    info = runner.message_hub.runtime_info
    paths = [Path(info[key]) for key in sorted(info) if key.startswith('best_ckpt') and info[key]]
    if paths:
        # A resumed run may have moved; the copy under the stable name moves with it.
        paths.append(Path(runner.work_dir) / 'best.pth')
    if info.get('last_ckpt'):
        paths.append(Path(info['last_ckpt']))
    chosen = [next((path for path in paths if path.is_file()), None)]
    broadcast_object_list(chosen)  # also keeps the others from reading before rank 0 has written
    return chosen[0]


def _is_best(runner: Runner, checkpoint: Path) -> bool:
    return str(checkpoint) == runner.message_hub.runtime_info.get('best_ckpt')


def _neck_off_is_not_zero_shot(runner: Runner) -> bool:
    """Whether loaded weights changed parts that stay in force when the neck is off."""
    names = unwrapped(runner.model).trainable_parameters()
    return runner._has_loaded and not all(name.startswith('neck.') for name in names)


@contextmanager
def _same_random_state() -> Iterator[None]:
    """Puts the random generators of Python, NumPy and PyTorch back as they were."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng([torch.cuda.current_device()] if torch.cuda.is_available() else []):
        yield
    random.setstate(python)
    np.random.set_state(numpy)


def _facts(runner: Runner, checkpoint: Path | None) -> dict:
    """Where the numbers come from, without paths of this machine where that can be helped."""
    model = unwrapped(runner.model)
    trainable = sum(parameter.numel() for parameter in model.trainable_parameters().values())
    total = sum(parameter.numel() for parameter in model.parameters())
    metainfo = getattr(runner.test_dataloader.dataset, 'metainfo', {})
    return dict(
        {key: metainfo.get(key) for key in ('dataset', 'split')},
        config=Path(runner.cfg.filename).name if runner.cfg.filename else None,
        checkpoint=_shown(checkpoint, Path(runner.work_dir)) if checkpoint else None,
        parameters=dict(trainable=trainable, total=total, share_percent=100 * trainable / total),
        seed=runner.seed, processes=get_world_size(),
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else 'cpu',
        versions=dict(mmcma=__version__, torch=str(torch.__version__), mmengine=mmengine.__version__,
                      transformers=version('transformers'), python=python_version()))
