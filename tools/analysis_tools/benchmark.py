"""Measures our code beside the plain way or the released code, in one run on the same weights and data.

    python tools/analysis_tools/benchmark.py train --backbone vit-b16 --official Cross-Modal-Adapter
    python tools/analysis_tools/benchmark.py train --help

--official names a checkout of https://github.com/LeapLabTHU/Cross-Modal-Adapter; without it our variants of a training
step are compared among themselves. Before anything is timed, all must compute the same thing, to a tolerance that is
printed. They take turns, so that what else the machine does meets all of them; ratios are taken within each turn.
docs/performance.md, docs/data.md and docs/scale.md say what was measured, and how.
"""
import argparse
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from benchmarks.variants import CURVES, METHODS, VARIANTS

from mmcma.cli.arguments import check_at_least, check_can_grow, run_tool

SIDES = dict(nargs='+', choices=['plain', 'ours'], default=['ours'], help='that are measured')
BACKBONE = dict(choices=['vit-b32', 'vit-b16'], default='vit-b32')


def main() -> None:
    args = parser().parse_args()
    check_at_least(args, **{name: 1 if isinstance(value, int) else 0.001 for name, value in vars(args).items()
                            if isinstance(value, int | float) and name != 'tiny'})
    check_can_grow(args.out, '--out')
    module, function = COMMANDS[args.command].run
    getattr(import_module(f'benchmarks.{module}'), function)(args)


def parser() -> argparse.ArgumentParser:
    """All sub-commands, each with the options of COMMANDS and those that all have."""
    result = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = result.add_subparsers(dest='command', required=True, metavar='COMMAND')
    for name, command in COMMANDS.items():
        added = commands.add_parser(name, help=command.about, description=command.about)
        added.add_argument('--tiny', action='store_true', help='smallest sizes, to see that everything runs')
        added.add_argument('--out', type=Path, metavar='FILE', help='add the raw figures to this JSON file')
        for option, settings in dict(rounds=number(command.rounds, 'turns of each variant'), **command.options).items():
            added.add_argument(f'--{option}', **settings)
    return result


def number(default: int, about: str) -> dict:
    """Settings of an option that is a whole number."""
    return dict(type=int, default=default, help=f'{about} (default: {default:,})')


def step(*variants: str, backbone: str = 'vit-b32', batch: int = 8) -> dict[str, dict]:
    """Options that describe a training step, with their defaults; ``variants`` take part beside the released code."""
    about = '; '.join(f'{name}: {variant.about}' for name, variant in VARIANTS.items())
    return dict(
        official=dict(type=Path, metavar='DIR', help='checkout of the released code'),
        backbone={**BACKBONE, 'default': backbone}, batch=number(batch, 'videos'), frames=number(12, 'of a video'),
        words=number(32, 'tokens of the longest caption'),
        variants=dict(nargs='+', choices=VARIANTS, default=list(variants), metavar='VARIANT',
                      help=f'{about} (default: {" ".join(variants)})'))


class Command(NamedTuple):
    """A sub-command: module and function of benchmarks/, help, default of --rounds, and options of its own."""
    run: tuple[str, str]
    about: str
    rounds: int
    options: dict[str, dict]


COMMANDS = {
    'train': Command(
        ('training', 'train'), 'Time of a training step; all variants are in memory at once.', 5,
        step('float32', 'bf16', 'bf16-compiled', 'full-float32')),
    'memory': Command(
        ('training', 'alone'), 'Peak memory of a training step beyond weights and batch.', 1,
        step('float32', 'bf16', 'bf16-compiled', 'bf16-checkpointed', 'bf16-micro', 'full-float32', 'full-bf16')),
    'gpu': Command(
        ('training', 'alone'), 'Clips per second, share of the peak and memory of a GPU; without one all of it runs in '
        'the smallest sizes.', 10, {
            **step('bf16', 'bf16-compiled', 'bf16-checkpointed', 'full-bf16', backbone='vit-b16', batch=128),
            'peak-tflops': dict(type=float, required=True, metavar='N', help="the GPU's stated dense bf16 peak")}),
    'methods': Command(
        ('operations', 'methods'), 'Trained parameters and operations of a training step of every method with a config '
        'for MSR-VTT.', 1, dict(
            backbone=BACKBONE, frames=number(12, 'of a video'), words=number(32, 'tokens of its caption'),
            variants=dict(nargs='+', choices=METHODS, default=list(METHODS), metavar='METHOD',
                          help=f'{", ".join(METHODS)} (default: all)'))),
    'similarity': Command(
        ('scores', 'compare'), 'Time and memory of the similarity that weighs frames by the query.', 5, dict(
            sides={**SIDES, 'default': ['plain', 'ours']}, size=number(1000, 'texts, and videos'),
            frames=number(12, 'of a video'), dim=number(512, 'of an embedding'))),
    'gallery': Command(
        ('scores', 'compare'), 'Time and memory of ranks in a large gallery of vectors.', 1,
        dict(sides=SIDES, size=number(50000, 'texts, and items'), dim=number(512, 'of a vector'))),
    'scaling': Command(
        ('scaling', 'scaling'), 'Growth of time and memory with each size, and a straight line fitted to it; a fresh '
        'process a point.', 1, dict(
            backbone=BACKBONE,
            curves=dict(nargs='+', choices=CURVES, default=list(CURVES), metavar='CURVE',
                        help=f'of {", ".join(map(repr, CURVES))} (default: all)'))),
    'data': Command(
        ('data', 'data'), 'Clips per second that become what the model reads, on one core, from videos and from '
        'a frame cache.', 5,
        dict(clips=dict(type=Path, required=True, metavar='DIR', help='folder of videos'))),
    'search': Command(
        ('search', 'search'), 'Time of a query in a random gallery, or, with --gallery, how much of the exact answer '
        "a gallery's first stage finds.", 30, dict(
            items=number(100_000, 'of the random gallery'), dim=number(512, 'of its vectors'),
            frames=number(12, 'of each of its items'), rerank=number(100, 'candidates that are read'),
            gallery=dict(metavar='DIR', help='measure the recall of this gallery instead'),
            queries=dict(type=Path, metavar='FILE', help='texts for --gallery, a line each'))),
}


if __name__ == '__main__':
    run_tool(main)
