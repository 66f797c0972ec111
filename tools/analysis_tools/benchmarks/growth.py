"""What is measured at different sizes, each point in a process of its own."""
import sys
import tempfile
import time
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.galleries import Gallery
from benchmarks.paired import Apart
from mmcma.apis import export_adapter, load_adapter
from mmcma.config import load_config
from mmcma.engine.step_cost import PeakMemory, timed
from mmcma.models.similarities import chunks
from mmcma.registry import MODELS
from mmcma.structures import Features

WAY = 'float32'


@dataclass(frozen=True)
class Point:
    """What one size costs.

    Attributes:
        seconds: Of the work.
        peak_bytes: Most memory in use during it beyond what was in use before.
    """
    seconds: float
    peak_bytes: int


def training_step(**job) -> Point:
    """A step of the method on random weights and data; ``job`` as of :func:`~benchmarks.steps.write_job`."""
    from benchmarks.steps import OurStep, write_job
    job = Namespace(**job)
    with tempfile.TemporaryDirectory() as folder:
        write_job(Path(folder), job)
        with Apart(OurStep, Path(folder), WAY, job.backbone) as step:
            step.call('first')
            return Point(min(step.call('seconds') for _ in range(2)), step.call('peak'))


def ranking(*, size: int, dim: int) -> Point:
    """Ranks of as many texts as items, both ways."""
    with Apart(Gallery, size, dim) as gallery:
        found = gallery.call('rank')
    return Point(found['seconds'], found['process_bytes'] - found['before_bytes'])


def held_adapters(*, count: int) -> Point:
    """Loading adapters on one small CLIP."""
    with Apart(Adapters) as adapters:
        return adapters.call('hold', count)


def loss(*, pairs: int, frames: int, dim: int, tiled: bool) -> Point:
    """The contrastive loss of a global batch, forward and backward, with scores in chunks or in one piece."""
    with Apart(Loss, pairs, frames, dim, tiled) as measured:
        return measured.call('measure')


class Adapters:
    """The small CLIP with an adapter, and room for more."""

    def __init__(self) -> None:
        cfg = load_config(str(Path(__file__).parents[3] / 'configs' / 'cma' / 'cma_tiny_glyphmotion.py'))
        self.model = MODELS.build(cfg.model)
        self.model.cfg = cfg

    def hold(self, count: int) -> Point:
        """Loads the same adapter under so many names; time and memory of all together."""
        with tempfile.TemporaryDirectory() as folder:
            export_adapter(self.model, Path(folder) / 'adapter')
            load_adapter(self.model, 'first', Path(folder) / 'adapter')  # what is imported on first use is no adapter's
            memory = PeakMemory()
            began = time.perf_counter()
            for number in range(count):
                load_adapter(self.model, f'adapter{number}', Path(folder) / 'adapter')
            return Point(time.perf_counter() - began, memory.peak())


class Loss:
    """The head's loss of random features.

    Args:
        pairs: Of a text and a video.
        frames: Of a video.
        dim: Of an embedding.
        tiled: Whether scores are computed in chunks, and again in the backward pass, where they are many.
    """

    def __init__(self, pairs: int, frames: int, dim: int, tiled: bool) -> None:
        if not tiled:
            chunks.VALUES_AT_ONCE = sys.maxsize
        self.head = MODELS.build(dict(type='RetrievalHead', similarity=dict(type='QueryScore'),
                                      loss=dict(type='SymmetricInfoNCE')))
        self.head.bind(embed_dim=dim, logit_scale=4.6)
        generator = torch.Generator().manual_seed(0)
        self.text = torch.randn(pairs, dim, generator=generator).mul_(0.45).requires_grad_()
        self.frames = torch.randn(pairs, frames, dim, generator=generator).mul_(0.45).requires_grad_()

    def step(self) -> None:
        """Forward and backward."""
        visual = Features(self.frames[:, 0], self.frames)
        self.head.loss(Features(self.text), visual, torch.arange(len(self.text)))['loss'].backward()

    def measure(self) -> Point:
        """One step, the first: the features' gradients count."""
        memory = PeakMemory()
        return Point(timed(self.step), memory.peak())
