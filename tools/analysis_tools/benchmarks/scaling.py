"""How time and memory grow with batch, frames, caption length, gallery, adapters held and global batch.

    python tools/analysis_tools/benchmark.py scaling --out scaling.json --plots docs/results/performance

Each point has a fresh process. A straight line is fitted to each curve; the table tells its slope and how far off the
points are. Gallery and loss are drawn over the pairs that are scored, which is what they grow with.
"""
import argparse
from dataclasses import asdict
from pathlib import Path

from benchmarks.paired import add_common_arguments, print_table, save

# name -> (label of the axis, sizes, sizes with --tiny)
CURVES = {
    'batch': ('videos of 6 frames in a batch', (2, 4, 8, 12, 16), (1, 2, 3)),
    'frames': ('frames of each of 4 videos', (2, 4, 8, 12, 16), (1, 2, 3)),
    'words': ('tokens of each of 32 captions', (8, 16, 32, 48, 64), (8, 16, 24)),
    'gallery': ('million pairs of text and item', (4000, 6000, 8000, 10000, 12000), (100, 200, 300)),
    'adapters': ('adapters held', (1, 25, 50, 75, 100), (1, 2, 3)),
    'loss': ('million pairs of text and video', (1024, 2048, 3072, 4096), (16, 32, 48)),
    'loss untiled': ('million pairs of text and video', (1024, 2048, 3072, 4096), (16, 32, 48)),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of this sub-command."""
    parser.add_argument('--backbone', choices=['vit-b32', 'vit-b16'], default='vit-b32')
    parser.add_argument('--curves', nargs='+', choices=CURVES, default=list(CURVES), metavar='CURVE',
                        help=f'of {", ".join(map(repr, CURVES))} (default: all)')
    parser.add_argument('--plots', type=Path, metavar='DIR', help='put the plots there, a PNG a curve')
    add_common_arguments(parser, rounds=1)


def run(args: argparse.Namespace) -> None:
    """Measures, prints, saves and draws."""
    rows = []
    for name in args.curves:
        label, sizes, tiny = CURVES[name]
        found = [measure(name, size, args) for size in (tiny if args.tiny else sizes)]
        squared = name in ('gallery', 'loss', 'loss untiled')
        x = [size**2 / 1e6 if squared else size for size in (tiny if args.tiny else sizes)]
        lines = {key: fit(x, [getattr(point, key) for point in found]) for key in ('seconds', 'peak_bytes')}
        rows.append((name, f'{1000 * lines["seconds"]["slope"]:.3g}', f'{100 * lines["seconds"]["off"]:.0f} %',
                     f'{lines["peak_bytes"]["slope"] / 2**20:.3g}', f'{100 * lines["peak_bytes"]["off"]:.0f} %'))
        save(args, f'scaling {name}', dict(label=label, x=x, points=list(map(asdict, found)), lines=lines))
        if args.plots:
            draw(args.plots / f'{name.replace(" ", "_")}.png', label, x, found, lines)
    print_table('Growth by one', ('', 'ms', 'off the line', 'MiB', 'off the line'), rows)


def measure(name: str, size: int, args: argparse.Namespace):
    """The :class:`~benchmarks.growth.Point` of one size."""
    from benchmarks import growth
    if name == 'gallery':
        return growth.ranking(size=size, dim=512)
    if name == 'adapters':
        return growth.held_adapters(count=size)
    if name.startswith('loss'):
        return growth.loss(pairs=size, frames=12, dim=512, tiled=name == 'loss')
    sizes = dict(batch=4, frames=6, words=16)
    if name == 'words':
        sizes.update(batch=32, frames=1)
    return growth.training_step(backbone=args.backbone, tiny=args.tiny, **{**sizes, name: size})


def fit(x: list[float], y: list[float]) -> dict[str, float]:
    """The straight line nearest to the points: ``slope``, ``start``, and ``off``, the largest relative distance."""
    import numpy as np
    slope, start = np.polyfit(x, y, 1)
    off = np.abs(slope * np.array(x) + start - y).max() / max(np.abs(y).max(), 1e-12)
    return dict(slope=float(slope), start=float(start), off=float(off))


def draw(path: Path, label: str, x: list[float], found: list, lines: dict) -> None:
    """Time and memory side by side, with their lines."""
    from matplotlib.figure import Figure
    figure = Figure(figsize=(7, 2.8), layout='constrained')
    parts = (('seconds', 'seconds', 1), ('peak_bytes', 'peak beyond before, MiB', 2**20))
    for axes, (key, title, unit) in zip(figure.subplots(1, 2), parts):
        line = lines[key]
        axes.plot(x, [getattr(point, key) / unit for point in found], 'o')
        axes.plot([0, max(x)], [line['start'] / unit, (line['start'] + line['slope'] * max(x)) / unit], '-',
                  color='grey', linewidth=1)
        axes.set(xlabel=label, ylabel=title, xlim=(0, None), ylim=(0, None))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
