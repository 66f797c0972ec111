"""How well moments of a long video are found: a test set's clips joined into one, and every caption asked.

    python tools/analysis_tools/benchmark_moments.py --seconds 1 2 4 10 --overlaps 0 0.5 --out moments.json
    python tools/analysis_tools/benchmark_moments.py --seconds 2 10 --overlaps 0.5 --fast --key-frames 2
    python tools/analysis_tools/benchmark_moments.py --data-root clips --ann-file captions.jsonl --seconds 5 10 20

Between the clips lie random pauses of black, so that no grid of windows fits them. The first row is clip retrieval:
the model is told where each clip begins and ends, and ranks these stretches of the same file. Below it are windows, of
which it is told nothing; what overlaps a better window is joined to it. R@k "half": the share of captions of which one
of the first k windows and the clip have an intersection over union of at least 0.5. "covers": the window has at least
half of the clip. The error is from the middle of the first window to that of the clip. "pooled" ranks by each moment's
mean vector, as a gallery's first stage does, in place of the model's own similarity.
"""
import argparse
from pathlib import Path

from mmcma.cli.arguments import check_at_least, check_can_grow, run_tool
from mmcma.utils.errors import ConfigError


def main() -> None:
    args = parser().parse_args()
    check(args)
    from benchmarks.moments import run
    run(args)


def check(args: argparse.Namespace) -> None:
    """Refuses figures that cannot be, and a file to which none can be added, with a ConfigError."""
    check_at_least(args, clips=1, pause=0, size=16, batch_size=1)
    check_can_grow(args.out, '--out')
    if args.size % 2:
        raise ConfigError(f'--size {args.size} must be even')
    for seconds in args.seconds:
        if not seconds > 0:
            raise ConfigError(f'--seconds {seconds:g} must be more than 0')
    for overlap in args.overlaps:
        if not 0 <= overlap < 1:
            raise ConfigError(f'--overlaps {overlap:g} must be from 0 to less than 1')


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument('--model', default='tiny', help="'tiny', an exported folder, or a config file")
    result.add_argument('--checkpoint', metavar='FILE', help='the trained weights, where the model is a config')
    result.add_argument('--ann-file', metavar='FILE', help='clips as for CaptionedFiles (default: GlyphMotion)')
    result.add_argument('--data-root', default='data/glyphmotion', metavar='DIR', help='folder of the clips')
    result.add_argument('--clips', type=int, metavar='N', help='the first N (default: all)')
    result.add_argument('--seconds', nargs='+', type=float, default=[1, 2, 4, 10], metavar='S', help='of a window')
    result.add_argument('--overlaps', nargs='+', type=float, default=[0, 0.5, 0.75], metavar='SHARE')
    result.add_argument('--pause', type=float, default=2, metavar='S', help='the longest between clips (default: 2)')
    result.add_argument('--fast', action='store_true', help='measure everything with key frames alone as well')
    result.add_argument('--key-frames', type=float, default=10, metavar='S',
                        help="the longest time between two of the video; x264 adds some at cuts (default: 10)")
    result.add_argument('--size', type=int, default=128, metavar='PIXELS', help='side of the video (default: 128)')
    result.add_argument('--seed', type=int, default=0, help='of the pauses')
    result.add_argument('--batch-size', type=int, default=32, metavar='N')
    result.add_argument('--name', default='GlyphMotion', help='of the figures in --out')
    result.add_argument('--out', type=Path, metavar='FILE', help='add the figures to this JSON file')
    return result


if __name__ == '__main__':
    run_tool(main)
