"""The test of a set of MSVD's shape with the small CLIP, from files to figures.

Ours is the test of tools/test.py: each video is read and encoded once, with all its captions. The released code reads
the 12 frames of a caption's video for every caption, encodes those of its last one, and scores 16 captions against one
or two videos at a time. Both read the same images in one process; ours is run from its frame cache too. The figures of
both sides must agree. The released code is run on a share of the videos, and its times are scaled up to all of them:
frames and features by the number of captions, the rest by captions times videos.
"""
import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from benchmarks.core import IsolatedProcess, print_table, race, ratios, save, spread
from benchmarks.released_test import ReleasedTest
from benchmarks.test_set import OurTest, write_test_set
from benchmarks.variants import RELEASED
from mmcma.utils.errors import DataError

CACHED = 'ours, cached'
TOLERANCE = 0.05  # points of R@k, places of the mean rank: near ties that float32 orders one way or the other


def evaluate(args: argparse.Namespace) -> None:
    """Checks, times, prints and saves."""
    if args.tiny:
        args.videos, args.captions, args.share = min(args.videos, 6), min(args.captions, 20), 0.5
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        folder = Path(folder)
        write_test_set(folder, args.videos, args.captions)
        tests = {name: stack.enter_context(IsolatedProcess(OurTest, folder, args.videos, name == CACHED))
                 for name in ('ours', CACHED)}
        if args.official is not None:
            tests[RELEASED] = stack.enter_context(compare(args, folder))
        for name in ('ours', CACHED):
            tests[name].call('test')
        results = race({name: lambda test=test: test.call('test') for name, test in tests.items()},
                       rounds=args.rounds, warmup=0)
    found = summarise(args, results)
    report(args, found)
    save(args, 'eval', found)


def share_of(args: argparse.Namespace) -> tuple[int, int]:
    """Videos and captions of the share."""
    videos = max(1, round(args.share * args.videos))
    return videos, videos * (args.captions // args.videos) + min(videos, args.captions % args.videos)


def compare(args: argparse.Namespace, folder: Path) -> IsolatedProcess:
    """The released code's process; its figures on the share are those of ours.

    Raises:
        DataError: They are not.
    """
    videos, _ = share_of(args)
    theirs = IsolatedProcess(ReleasedTest, args.official, folder, videos, args.batch)
    with IsolatedProcess(OurTest, folder, videos) as ours:
        found, expected = (side.call('test')['metrics'] for side in (ours, theirs))
    for key, value in expected.items():
        if not abs(found[key] - value) <= TOLERANCE:
            raise DataError(f'{key} is {found[key]:.3f} by ours and {value:.3f} by the released code: they do not test '
                            'the same thing, and are not timed.')
    print(f'all {len(expected)} figures of {videos} videos agree to {TOLERANCE}: '
          + ', '.join(f'{key} {value:.2f}' for key, value in expected.items()))
    return theirs


def summarise(args: argparse.Namespace, results: dict[str, list[dict]]) -> dict:
    """Seconds of each side, those of the released code scaled up to all videos, and the ratios within each round."""
    seconds = {name: [result['seconds'] for result in results[name]] for name in ('ours', CACHED)}
    found = {name: dict(seconds=spread(own), metrics=results[name][0]['metrics']) for name, own in seconds.items()}
    if RELEASED not in results:
        return found
    videos, captions = share_of(args)
    linear = args.captions / captions
    pairs = linear * args.videos / videos
    measured = [result['seconds'] for result in results[RELEASED]]
    scaled = [{part: took * (linear if part == 'frames and features' else pairs) for part, took in parts.items()}
              for parts in measured]
    totals = [sum(parts.values()) for parts in scaled]
    for name, own in seconds.items():
        found[name]['times_as_fast'] = ratios(totals, own)
    return {**found, RELEASED: dict(
        run_on=dict(videos=videos, captions=captions), scaled=videos < args.videos, measured_seconds=measured,
        seconds=spread(totals), seconds_by_part={part: median(parts[part] for parts in scaled) for part in scaled[0]})}


def report(args: argparse.Namespace, found: dict) -> None:
    """Prints the table."""
    rows = []
    for name, own in found.items():
        ratio = '{median:.1f} ({min:.1f} to {max:.1f})'.format(**own['times_as_fast']) if 'times_as_fast' in own else ''
        scaled = f', scaled from {own["run_on"]["videos"]} videos' if own.get('scaled') else ''
        rows.append((name + scaled, f'{own["seconds"]["median"]:.4g}', ratio))
        rows += [(f'  {part}', f'{took:.4g}', '') for part, took in own.get('seconds_by_part', {}).items()]
    print_table(f'Test of {args.videos:,} videos and {args.captions:,} captions',
                ('', 'seconds', f'times as fast as {RELEASED}'), rows)
