"""How time and memory grow with batch, frames, caption length, gallery, adapters held and global batch.

Each point has a fresh process. A straight line is fitted to each curve; the table tells its slope and how far off the
points are. Gallery and loss are drawn over the pairs that are scored, which is what they grow with.
"""
import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.core import Cost, Workload, isolated, print_table, save
from benchmarks.steps import step_of_variant, write_job
from benchmarks.variants import CURVES, size_of
from benchmarks.workloads import held_adapters, loss, tiled_ranks

#: Curve -> workload of one size. The others grow with an argument of a training step.
WORKLOADS = {
    'gallery': lambda size: (tiled_ranks, size, 512),
    'adapters': lambda size: (held_adapters, size),
    'loss': lambda size: (loss, size, 12, 512, True),
    'loss untiled': lambda size: (loss, size, 12, 512, False),
}
STEPS = dict(batch=dict(frames=6, words=16), frames=dict(batch=4, words=16), words=dict(batch=32, frames=1))


def scaling(args: argparse.Namespace) -> None:
    """Measures, prints and saves."""
    rows = []
    for name in args.curves:
        label, *sizes = CURVES[name]
        sizes = sizes[args.tiny]
        found = [measure(name, size, args) for size in sizes]
        x = [size**2 / 1e6 if label.startswith('million pairs') else size for size in sizes]
        points = [dict(seconds=cost.seconds, peak_bytes=cost.peak_bytes) for cost in found]
        lines = {key: fit(x, [point[key] for point in points]) for key in ('seconds', 'peak_bytes')}
        rows.append((name, f'{1000 * lines["seconds"]["slope"]:.3g}', f'{100 * lines["seconds"]["off"]:.0f} %',
                     f'{lines["peak_bytes"]["slope"] / 2**20:.3g}', f'{100 * lines["peak_bytes"]["off"]:.0f} %'))
        save(args, f'scaling {name}', dict(label=label, x=x, points=points, lines=lines))
    print_table('Growth by one', ('', 'ms', 'off the line', 'MiB', 'off the line'), rows)


def measure(name: str, size: int, args: argparse.Namespace) -> Cost:
    """The cost of one point of a curve; of a training step the faster one of the second and the third."""
    if name in WORKLOADS:
        with isolated(Workload, *WORKLOADS[name](size)) as workload:
            return workload.call('measure')
    job = argparse.Namespace(backbone=args.backbone, tiny=args.tiny, **STEPS[name], **{name: size})
    with tempfile.TemporaryDirectory() as folder:
        write_job(Path(folder), job)
        with isolated(step_of_variant, Path(folder), 'float32', size_of(args)) as step:
            return min([step.call('measure') for _ in range(3)][1:])


def fit(x: list[float], y: list[float]) -> dict[str, float]:
    """The straight line nearest to the points: ``slope``, ``start``, and ``off``, the largest relative distance."""
    slope, start = np.polyfit(x, y, 1)
    off = np.abs(slope * np.array(x) + start - y).max() / max(np.abs(y).max(), 1e-12)
    return dict(slope=float(slope), start=float(start), off=float(off))
