"""The figures of a large gallery of vectors: time and memory.

    python tools/analysis_tools/benchmark.py gallery

Ranks of 50,000 texts among 50,000 items and back, in tiles: the matrix of all scores, 10 GB, is never there. At a small
size every rank must be that of the whole matrix, sorted. Memory is that of the whole process, libraries included.
"""
import argparse

from benchmarks.paired import Apart, add_common_arguments, print_table, save, spread

CHECKED_SIZE = 1500  # three tiles a side, the last one shorter


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of this sub-command."""
    parser.add_argument('--size', type=int, default=50000, help='texts, and items (default: 50,000)')
    parser.add_argument('--dim', type=int, default=512, help='of a vector (default: 512)')
    add_common_arguments(parser, rounds=1)


def run(args: argparse.Namespace) -> None:
    """Checks, measures, prints and saves."""
    from benchmarks.galleries import Gallery
    from mmcma.utils.errors import DataError
    if args.tiny:
        args.size, args.dim = min(args.size, 600), min(args.dim, 16)
    with Apart(Gallery, CHECKED_SIZE, args.dim) as small:
        wrong = small.call('differs_from_sorting')
    if wrong:
        raise DataError(f'{wrong} ranks of {CHECKED_SIZE} x {CHECKED_SIZE} are not those of the sorted matrix.')
    print(f'all ranks of {CHECKED_SIZE:,} x {CHECKED_SIZE:,} are those of the sorted matrix')
    with Apart(Gallery, args.size, args.dim) as gallery:
        found = [gallery.call('rank') for _ in range(args.rounds)]
    seconds = spread([once['seconds'] for once in found])
    memory = {key: found[-1][key] for key in ('before_bytes', 'process_bytes')}
    print_table(f'Ranks of {args.size:,} x {args.size:,} vectors of {args.dim}',
                ('', 'seconds', 'process before, MiB', 'process, MiB'),
                [('ours', f'{seconds["median"]:.4g}', *(size >> 20 for size in memory.values()))])
    save(args, 'gallery', dict(seconds=seconds, **memory, matrix_bytes=4 * args.size**2, metrics=found[0]['metrics']))
