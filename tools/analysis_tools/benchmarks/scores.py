"""Scores and ranks of random tensors: the similarity that weighs frames by the query, and ranks of a large gallery.

The formula of the similarity pools each video for each text, N x M x D values; QueryScore needs N x M x T at most, and
a few videos' at a time. A gallery's ranks, both ways, are taken in tiles: the matrix of all scores is never there. At a
small size ours must give what the plain way gives; then those of --sides that fit are measured, each in a process of
its own, whose whole memory is told too.
"""
import argparse

from benchmarks.core import agreeing, race_costs, save
from benchmarks.workloads import our_scores, plain_scores, sorted_ranks, tiled_ranks

#: Command -> its sides, the plain one first, the arguments that they get, the size at which they must agree, and the
#: largest relative error there: of float32 sums in another order, and of ranks, of three tiles a side.
COMPARISONS = {
    'similarity': (dict(plain=plain_scores, ours=our_scores), ('size', 'frames', 'dim'), 300, 1e-5),
    'gallery': (dict(plain=sorted_ranks, ours=tiled_ranks), ('size', 'dim'), 1500, 0.0),
}


def compare(args: argparse.Namespace) -> None:
    """Checks, measures, prints and saves."""
    sides, names, checked_size, tolerance = COMPARISONS[args.command]
    if args.tiny:
        args.size, args.dim = min(args.size, 50), min(args.dim, 16)
    size, *others = (getattr(args, name) for name in names)
    with agreeing({name: (side, checked_size, *others) for name, side in sides.items()}, tolerance):
        print(f'compared at {checked_size:,} x {checked_size:,}')
    with agreeing({name: (sides[name], size, *others) for name in args.sides}, tolerance) as measures:
        found = race_costs(measures, rounds=args.rounds, title=f'{args.command}: {size:,} x {size:,}')
    save(args, args.command, dict(ways=found))
