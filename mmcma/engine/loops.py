"""Validation and test where metrics that rank get the model's similarity."""
from mmengine.model import is_model_wrapper
from mmengine.runner import TestLoop, ValLoop
from torch import nn

from mmcma.evaluation import RetrievalMetric
from mmcma.registry import LOOPS
from mmcma.structures import Features


@LOOPS.register_module()
class RetrievalValLoop(ValLoop):
    """Validation whose :class:`RetrievalMetric` sees the model's similarity."""

    def run(self) -> dict:
        _bind_metrics(self)
        return super().run()


@LOOPS.register_module()
class RetrievalTestLoop(TestLoop):
    """Test whose :class:`RetrievalMetric` sees the model's similarity."""

    def run(self) -> dict:
        _bind_metrics(self)
        return super().run()


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside DDP and ``torch.compile``."""
    if is_model_wrapper(model):
        model = model.module
    return getattr(model, '_orig_mod', model)


def _bind_metrics(loop) -> None:
    model = unwrapped(loop.runner.model)
    for metric in loop.evaluator.metrics:
        if isinstance(metric, RetrievalMetric):
            metric.similarity = _OnDevice(model)
            metric.dataset_gallery = getattr(loop.dataloader.dataset, 'gallery', None)


class _OnDevice:
    """The model's similarity for features that were gathered on the CPU."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def __call__(self, text: Features, visual: Features):
        device = next(self.model.parameters()).device
        return self.model.similarity(text.to(device), visual.to(device))
