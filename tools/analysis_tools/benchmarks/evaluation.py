"""The test of a set of MSVD's shape with the small CLIP, from files to figures: time.

    python tools/analysis_tools/benchmark.py eval --official Cross-Modal-Adapter

Ours is the test of tools/test.py: each video is read and encoded once, with all its captions. The released code reads
the 12 frames of a caption's video for every caption, encodes those of its last one, and scores 16 captions against one
or two videos at a time. Both read the same images of 320 x 240 pixels in one process; ours is run from its frame
cache too. The figures of both sides must agree, with CLIP4Clip's video-to-text protocol (max_over_captions). The
released code is run on a share of the videos, and its times are scaled up to all of them: frames and features by the
number of captions, the rest by captions times videos.
"""
import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from benchmarks.paired import Apart, add_common_arguments, print_table, save, spread
from benchmarks.ways import RELEASED

CACHED = 'ours, cached'
TOLERANCE = 0.05  # points of R@k, places of the mean rank: near ties that float32 orders one way or the other


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of this sub-command."""
    parser.add_argument('--videos', type=int, default=670, help='of the test set (default: 670)')
    parser.add_argument('--captions', type=int, default=27763, help='of all videos together (default: 27,763)')
    parser.add_argument('--share', type=float, default=0.25,
                        help='of the videos, that the released code is run on (default: 0.25; 1 for nothing scaled)')
    parser.add_argument('--batch', type=int, default=16, help='captions that it takes at a time (default: 16, its own)')
    add_common_arguments(parser, rounds=2)


def run(args: argparse.Namespace) -> None:
    """Checks, times, prints and saves."""
    if args.tiny:
        args.videos, args.captions, args.share = min(args.videos, 6), min(args.captions, 20), 0.5
    from benchmarks.testsets import OurTest, write_test_set
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        folder = Path(folder)
        write_test_set(folder, args.videos, args.captions)
        ways = {name: stack.enter_context(Apart(OurTest, folder, args.videos, name == CACHED))
                for name in ('ours', CACHED)}
        if args.official is not None:
            ways[RELEASED] = compare(args, folder, stack)
        for name in ('ours', CACHED):
            ways[name].call('test')
        rounds = [{name: way.call('test') for name, way in ways.items()} for _ in range(args.rounds)]
    found = summarise(args, rounds)
    report(args, found)
    save(args, 'eval', found)


def share_of(args: argparse.Namespace) -> tuple[int, int]:
    """Videos and captions of the share."""
    videos = max(1, round(args.share * args.videos))
    return videos, videos * (args.captions // args.videos) + min(videos, args.captions % args.videos)


def compare(args: argparse.Namespace, folder: Path, stack: ExitStack) -> Apart:
    """The released code, whose figures on the share are those of ours.

    Raises:
        DataError: They are not.
    """
    from benchmarks.testsets import OurTest, ReleasedTest
    from mmcma.utils.errors import DataError
    videos, _ = share_of(args)
    theirs = stack.enter_context(Apart(ReleasedTest, args.official, folder, videos, args.batch))
    with Apart(OurTest, folder, videos) as ours:
        found, expected = (side.call('test')['metrics'] for side in (ours, theirs))
    for key, value in expected.items():
        if not abs(found[key] - value) <= TOLERANCE:
            raise DataError(f'{key} is {found[key]:.3f} by ours and {value:.3f} by the released code: they do not test '
                            'the same thing, and are not timed.')
    print(f'all {len(expected)} figures of {videos} videos agree to {TOLERANCE}: '
          + ', '.join(f'{key} {value:.2f}' for key, value in expected.items()))
    return theirs


def summarise(args: argparse.Namespace, rounds: list[dict]) -> dict:
    """Seconds of each way, those of the released code scaled up to all videos, and the ratios within each round."""
    found = {name: dict(seconds=spread([way[name]['seconds'] for way in rounds]), metrics=rounds[0][name]['metrics'])
             for name in ('ours', CACHED)}
    if RELEASED not in rounds[0]:
        return found
    videos, captions = share_of(args)
    linear = args.captions / captions
    pairs = linear * args.videos / videos
    measured = [way[RELEASED]['seconds'] for way in rounds]
    scaled = [{part: took * (linear if part == 'frames and features' else pairs) for part, took in parts.items()}
              for parts in measured]
    totals = [sum(parts.values()) for parts in scaled]
    for name in ('ours', CACHED):
        found[name]['times_as_fast'] = spread([total / way[name]['seconds'] for total, way in zip(totals, rounds)])
    return {**found, RELEASED: dict(
        run_on=dict(videos=videos, captions=captions), scaled=videos < args.videos, measured_seconds=measured,
        seconds=spread(totals), seconds_by_part={part: median(parts[part] for parts in scaled) for part in scaled[0]})}


def report(args: argparse.Namespace, found: dict) -> None:
    """Prints the table."""
    rows = []
    for name, way in found.items():
        ratio = way.get('times_as_fast')
        rows.append((name, f'{way["seconds"]["median"]:.4g}',
                     f'{ratio["median"]:.1f} ({ratio["min"]:.1f} to {ratio["max"]:.1f})' if ratio else ''))
    if RELEASED in found:
        theirs = found[RELEASED]
        if theirs['scaled']:
            rows[-1] = (f'{RELEASED}, scaled from {theirs["run_on"]["videos"]} videos', *rows[-1][1:])
        rows += [(f'  {part}', f'{took:.4g}', '') for part, took in theirs['seconds_by_part'].items()]
    print_table(f'Test of {args.videos:,} videos and {args.captions:,} captions',
                ('', 'seconds', f'times as fast as {RELEASED}'), rows)
