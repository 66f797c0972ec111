"""The similarity that weighs frames by the query: time and memory.

    python tools/analysis_tools/benchmark.py similarity --official Cross-Modal-Adapter

Every text is scored against every video, as a test does. The released formula pools each video for each text, N x M x
D values; QueryScore needs N x M x T at most, and a few videos' at a time. Both must give the same cosines. Then ours
scores a larger set, of which the released formula could not even hold its pooled videos; a few rows of it are checked.
"""
import argparse
from contextlib import ExitStack

from benchmarks.paired import Apart, add_common_arguments, agree, print_table, print_times, race, save, summarise
from benchmarks.ways import RELEASED

TOLERANCE = 1e-5  # float32 sums in another order
CHECKED_ROWS = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of this sub-command."""
    parser.add_argument('--size', type=int, default=1000, help='texts, and videos (default: 1000)')
    parser.add_argument('--large', type=int, default=5000, help='size that ours does alone (default: 5000)')
    parser.add_argument('--frames', type=int, default=12, help='of a video (default: 12)')
    parser.add_argument('--dim', type=int, default=512, help='of an embedding (default: 512)')
    add_common_arguments(parser, rounds=5)


def run(args: argparse.Namespace) -> None:
    """Checks, times, prints and saves."""
    if args.tiny:
        args.size, args.large = min(args.size, 20), min(args.large, 50)
    ways, error = compare(args)
    base = next(iter(ways))
    print_times(ways, base=base, title=f'{args.size:,} texts, {args.size:,} videos, {args.frames} frames, {args.dim}')
    large = score_large(args)
    pooled = 4 * args.large**2 * args.dim
    print_table(f'{args.large:,} x {args.large:,}', ('', 'seconds', 'peak, MiB', 'process, MiB'), [
        ('ours', f'{large["seconds"]:.3g}', large['peak_bytes'] >> 20, large['process_bytes'] >> 20),
        ('released: pooled videos alone', '', pooled >> 20, '')])
    save(args, 'similarity', dict(ways=ways, error=error, large=dict(large, pooled_videos_bytes=pooled)))


def compare(args: argparse.Namespace) -> tuple[dict, float]:
    """Seconds and peak memory of each way, and how far ours is off the first."""
    from benchmarks.scoring import OurScores, PlainScores, ReleasedScores
    sizes = (args.size, args.frames, args.dim)
    with ExitStack() as stack:
        ways = {'plain': Apart(PlainScores, *sizes)} if args.official is None else \
            {RELEASED: Apart(ReleasedScores, args.official, *sizes)}
        ways['ours'] = Apart(OurScores, *sizes)
        for way in ways.values():
            stack.enter_context(way)
        theirs, ours = (way.call('scores') for way in ways.values())
        error = compared(ours, theirs)
        seconds = race({name: lambda way=way: way.call('seconds') for name, way in ways.items()}, rounds=args.rounds)
        found = summarise(seconds, next(iter(ways)))
        for name, way in ways.items():
            found[name]['peak_bytes'] = way.call('peak')[0]
    return found, error


def score_large(args: argparse.Namespace) -> dict:
    """Seconds and memory of ours alone, in a fresh process; its first rows are checked against the plain formula."""
    from benchmarks.scoring import OurScores, PlainScores
    sizes = (args.large, args.frames, args.dim)
    with Apart(OurScores, *sizes) as ours, Apart(PlainScores, *sizes, CHECKED_ROWS) as plain:
        peak, process = ours.call('peak')
        error = compared(ours.call('scores', CHECKED_ROWS), plain.call('scores'))
        return dict(seconds=min(ours.call('seconds') for _ in range(2)), peak_bytes=peak, process_bytes=process,
                    error=error)


def compared(ours, theirs) -> float:
    """Relative error of the cosines, printed; see :func:`~benchmarks.paired.agree`."""
    error = agree(dict(cosines=ours), dict(cosines=theirs), tolerance=TOLERANCE, what='ours')
    print(f'cosines agree, off by {error:.1g}')
    return error
