"""How time and memory grow with batch, frames, caption length, gallery, adapters held and global batch.

Each point has a fresh process. A straight line is fitted to each curve; the table tells its slope and how far off the
points are. Gallery and loss are drawn over the pairs that are scored, which is what they grow with.
"""
import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from benchmarks.core import Cost, IsolatedProcess, Workload, print_table, save
from benchmarks.gallery import Ranking
from benchmarks.steps import step_of_variant, write_job
from benchmarks.variants import CONFIGS, CURVES, size_of
from mmcma.apis import export_adapter, load_adapter
from mmcma.config import load_config
from mmcma.models.similarities import chunks
from mmcma.registry import MODELS
from mmcma.structures import Features


def scaling(args: argparse.Namespace) -> None:
    """Measures, prints, saves and draws."""
    rows = []
    for name in args.curves:
        label, *sizes = CURVES[name]
        sizes = sizes[args.tiny]
        found = [measure(name, size, args) for size in sizes]
        x = [size**2 / 1e6 if name.startswith(('gallery', 'loss')) else size for size in sizes]
        points = [dict(seconds=cost.seconds, peak_bytes=cost.peak_bytes) for cost in found]
        lines = {key: fit(x, [point[key] for point in points]) for key in ('seconds', 'peak_bytes')}
        rows.append((name, f'{1000 * lines["seconds"]["slope"]:.3g}', f'{100 * lines["seconds"]["off"]:.0f} %',
                     f'{lines["peak_bytes"]["slope"] / 2**20:.3g}', f'{100 * lines["peak_bytes"]["off"]:.0f} %'))
        save(args, f'scaling {name}', dict(label=label, x=x, points=points, lines=lines))
        if args.plots:
            draw(args.plots / f'{name.replace(" ", "_")}.png', label, x, points, lines)
    print_table('Growth by one', ('', 'ms', 'off the line', 'MiB', 'off the line'), rows)


def measure(name: str, size: int, args: argparse.Namespace) -> Cost:
    """The cost of one point of a curve."""
    if name == 'gallery':
        return _measured(Ranking, size, 512)
    if name == 'adapters':
        return _measured(HeldAdapters, size)
    if name.startswith('loss'):
        return _measured(Loss, size, 12, 512, name == 'loss')
    job = dict(batch=4, frames=6, words=16) if name != 'words' else dict(batch=32, frames=1)
    job = argparse.Namespace(backbone=args.backbone, tiny=args.tiny, **{**job, name: size})
    with tempfile.TemporaryDirectory() as folder:
        write_job(Path(folder), job)
        return _measured(step_of_variant, Path(folder), 'float32', size_of(args), times=3)


def _measured(factory, *args, times: int = 1) -> Cost:
    """The fastest of the runs after the first where there are several."""
    with IsolatedProcess(factory, *args) as workload:
        costs = [workload.call('measure') for _ in range(times)]
    return min(costs[1:] or costs)


class HeldAdapters(Workload):
    """Loading the same adapter on one small CLIP under so many names."""

    def __init__(self, count: int) -> None:
        cfg = load_config(str(CONFIGS / 'cma' / 'cma_tiny_glyphmotion.py'))
        self.model, self._count = MODELS.build(cfg.model), count
        self.model.cfg = cfg
        self._folder = tempfile.TemporaryDirectory()
        self._adapter = Path(self._folder.name) / 'adapter'
        export_adapter(self.model, self._adapter)
        load_adapter(self.model, 'first', self._adapter)  # what is imported on first use is no adapter's
        self.ready()

    def work(self) -> None:
        """Loads them all."""
        for number in range(self._count):
            load_adapter(self.model, f'adapter{number}', self._adapter)


class Loss(Workload):
    """The contrastive loss of a global batch of random features, forward and backward.

    Args:
        pairs: Pairs of a text and a video.
        frames: Frames of a video.
        dim: Length of an embedding.
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
        self.ready()

    def work(self) -> None:
        """Forward and backward; the gradients of the features count as memory."""
        visual = Features(self.frames[:, 0], self.frames)
        self.head.loss(Features(self.text), visual, torch.arange(len(self.text)))['loss'].backward()


def fit(x: list[float], y: list[float]) -> dict[str, float]:
    """The straight line nearest to the points: ``slope``, ``start``, and ``off``, the largest relative distance."""
    slope, start = np.polyfit(x, y, 1)
    off = np.abs(slope * np.array(x) + start - y).max() / max(np.abs(y).max(), 1e-12)
    return dict(slope=float(slope), start=float(start), off=float(off))


def draw(path: Path, label: str, x: list[float], points: list[dict], lines: dict) -> None:
    """Time and memory side by side, with their lines."""
    figure = Figure(figsize=(7, 2.8), layout='constrained')
    parts = (('seconds', 'seconds', 1), ('peak_bytes', 'peak beyond before, MiB', 2**20))
    for axes, (key, title, unit) in zip(figure.subplots(1, 2), parts):
        line = lines[key]
        axes.plot(x, [point[key] / unit for point in points], 'o')
        axes.plot([0, max(x)], [line['start'] / unit, (line['start'] + line['slope'] * max(x)) / unit], '-',
                  color='grey', linewidth=1)
        axes.set(xlabel=label, ylabel=title, xlim=(0, None), ylim=(0, None))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
