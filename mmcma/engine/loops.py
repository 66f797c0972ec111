"""Validation and test where metrics that rank get the model's similarity."""
import random
from contextlib import AbstractContextManager, nullcontext
from typing import cast

import numpy as np
import torch
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner, TestLoop, ValLoop
from torch import Tensor, nn

from mmcma.evaluation import RetrievalMetric, RetrievalResult
from mmcma.models import CrossModalRetriever
from mmcma.registry import LOOPS
from mmcma.structures import Features


@LOOPS.register_module()
class RetrievalValLoop(ValLoop):
    """Validation whose :class:`RetrievalMetric` sees the model's similarity."""

    def run(self) -> dict:
        _bind_metrics(self)
        with _remembering_captions(self.runner.model):
            return super().run()


@LOOPS.register_module()
class RetrievalTestLoop(TestLoop):
    """Test whose :class:`RetrievalMetric` sees the model's similarity."""

    def run(self) -> dict:
        _bind_metrics(self)
        with _remembering_captions(self.runner.model):
            return super().run()


def unwrapped(model: nn.Module) -> CrossModalRetriever:
    """The model inside DDP and ``torch.compile``."""
    if is_model_wrapper(model):
        model = cast(nn.Module, model.module)
    return cast(CrossModalRetriever, getattr(model, '_orig_mod', model))


def run_test(runner: Runner) -> None:
    """Runs the test loop in the midst of a training, which goes on as if there had been none.

    The model's mode and the random generators of Python, NumPy and PyTorch are put back as they were.
    """
    was_training = runner.model.training
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng([torch.cuda.current_device()] if torch.cuda.is_available() else []):
            runner.test_loop.run()
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        runner.model.train(was_training)


def retrieval_result(runner: Runner) -> RetrievalResult | None:
    """The result of the last test on the main process; None without a :class:`RetrievalMetric`."""
    metrics = (metric for metric in runner.test_loop.evaluator.metrics if isinstance(metric, RetrievalMetric))
    return next((metric.result for metric in metrics), None)


def _remembering_captions(model: nn.Module) -> AbstractContextManager:
    return getattr(unwrapped(model), 'remembering_captions', nullcontext)()  # a model of one's own may have none


def _bind_metrics(loop) -> None:
    model = unwrapped(loop.runner.model)
    for metric in loop.evaluator.metrics:
        if isinstance(metric, RetrievalMetric):
            metric.similarity = _OnDevice(model)
            metric.dataset_gallery = getattr(loop.dataloader.dataset, 'gallery', None)


class _OnDevice:
    """The model's similarity for features that were gathered on the CPU."""

    def __init__(self, model: CrossModalRetriever) -> None:
        self.model = model

    def __call__(self, text: Features, visual: Features) -> Tensor:
        device = next(self.model.parameters()).device
        return self.model.similarity(text.to(device), visual.to(device))
