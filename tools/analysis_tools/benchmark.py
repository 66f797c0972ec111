"""Measures our code beside the plain way and the released code, in one run on the same weights and data.

    python tools/analysis_tools/benchmark.py train --backbone vit-b16 --official Cross-Modal-Adapter
    python tools/analysis_tools/benchmark.py train --help

--official names a checkout of https://github.com/LeapLabTHU/Cross-Modal-Adapter; without it our variants are compared
among themselves. Before anything is timed, all must compute the same thing, to a tolerance that is printed. They take
turns, so that what else the machine does meets all of them; ratios are taken within each turn. docs/performance.md,
docs/data.md and docs/scale.md say what was measured, and how.
"""
import argparse
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from benchmarks.variants import CURVES, VARIANTS

from mmcma.cli.arguments import run_tool


def main() -> None:
    args = parser().parse_args()
    module, function = args.run
    getattr(import_module(f'benchmarks.{module}'), function)(args)


#: Adds a sub-command: name, module and function, what it measures, rounds.
Command = Callable[[str, tuple[str, str], str, int], argparse.ArgumentParser]


def parser() -> argparse.ArgumentParser:
    """All sub-commands. Each has ``run``, a module of benchmarks/ and its function that takes the arguments."""
    result = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = result.add_subparsers(dest='command', required=True, metavar='COMMAND')

    def command(name: str, run: tuple[str, str], about: str, rounds: int) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=about, description=about)
        added.set_defaults(run=run)
        added.add_argument('--official', type=Path, metavar='DIR', help='checkout of the released code')
        added.add_argument('--rounds', type=int, default=rounds, help=f'turns of each variant (default: {rounds})')
        added.add_argument('--tiny', action='store_true', help='smallest sizes, to see that everything runs')
        added.add_argument('--out', type=Path, metavar='FILE', help='add the raw figures to this JSON file')
        return added

    training_commands(command)
    evaluation_commands(command)
    data_commands(command)
    return result


def training_commands(command: Command) -> None:
    """Adds what measures training steps."""
    steps(command('train', ('training', 'train'), 'Time of a training step; all variants are in memory at once.', 5),
          ['float32', 'bf16', 'bf16-compiled', 'full-float32'])
    steps(command('memory', ('training', 'memory'), 'Peak memory of a training step beyond weights and batch.', 1),
          ['float32', 'bf16', 'bf16-compiled', 'bf16-checkpointed', 'bf16-micro', 'full-float32', 'full-bf16'])
    gpu = command('gpu', ('gpu', 'gpu'), 'Clips per second, share of the peak, memory and the input pipeline of a GPU; '
                  'without one all of it runs in the smallest sizes.', 10)
    steps(gpu, ['bf16', 'bf16-compiled', 'bf16-checkpointed', 'full-bf16'], backbone='vit-b16', batch=128)
    gpu.add_argument('--peak-tflops', type=float, metavar='N',
                     help="the GPU's stated dense bf16 peak (default: what a large product reaches on it)")
    gpu.add_argument('--clips', type=Path, metavar='DIR', help='videos for the rate of the input pipeline')


def evaluation_commands(command: Command) -> None:
    """Adds what measures scores and ranks, and how costs grow."""
    similarity = command('similarity', ('similarity', 'similarity'),
                         'Time and memory of the similarity that weighs frames by the query.', 5)
    numbers(similarity, size=(1000, 'texts, and videos'), large=(5000, 'size that ours does alone'),
            frames=(12, 'of a video'), dim=(512, 'of an embedding'))
    evaluation = command('eval', ('evaluation', 'evaluate'),
                         "Time of a test of MSVD's shape with the small CLIP, from files to figures.", 2)
    numbers(evaluation, videos=(670, 'of the test set'), captions=(27763, 'of all videos together'),
            batch=(16, 'captions that the released code takes at a time'))
    evaluation.add_argument('--share', type=float, default=0.25, help='of the videos, that the released code is run '
                            'on (default: 0.25; 1 for nothing scaled)')
    gallery = command('gallery', ('gallery', 'gallery'), 'Time and memory of ranks in a large gallery of vectors.', 1)
    numbers(gallery, size=(50000, 'texts, and items'), dim=(512, 'of a vector'))
    scaling = command('scaling', ('scaling', 'scaling'), 'Growth of time and memory with each size, and a straight '
                      'line fitted to it; a fresh process a point.', 1)
    scaling.add_argument('--backbone', choices=['vit-b32', 'vit-b16'], default='vit-b32')
    scaling.add_argument('--curves', nargs='+', choices=CURVES, default=list(CURVES), metavar='CURVE',
                         help=f'of {", ".join(map(repr, CURVES))} (default: all)')
    scaling.add_argument('--plots', type=Path, metavar='DIR', help='put the plots there, a PNG a curve')


def data_commands(command: Command) -> None:
    """Adds what measures decoding, frame caches and galleries."""
    clips = 'folder of videos, and captions.json, a list of {"video", "captions"}, if there is one'
    command('data', ('data', 'data'), 'Clips per second that become what the model reads, on one core, beside decord, '
            'Pillow and ToTensor. A second is one of processor time, of all threads.', 5
            ).add_argument('--clips', type=Path, required=True, metavar='DIR', help=clips)
    command('stores', ('stores', 'stores'), 'Size and speed of forms of a frame cache; lmdb and webdataset take part '
            'where installed.', 2).add_argument('--clips', type=Path, required=True, metavar='DIR', help=clips)
    search = command('search', ('search', 'search'), 'Time of a query in a random gallery, or, with --gallery, how '
                     "much of the exact answer a gallery's first stage finds.", 30)
    numbers(search, items=(100_000, 'of the random gallery'), dim=(512, 'of its vectors'),
            frames=(12, 'of each of its items'), rerank=(100, 'candidates that are read'))
    search.add_argument('--gallery', metavar='DIR', help='measure the recall of this gallery instead')
    search.add_argument('--queries', type=Path, metavar='FILE', help='texts for --gallery, a line each')


def steps(command: argparse.ArgumentParser, variants: list[str], **defaults) -> None:
    """Adds what describes a training step; ``variants`` are the default beside the released code."""
    command.add_argument('--backbone', choices=['vit-b32', 'vit-b16'], default='vit-b32')
    numbers(command, batch=(defaults.get('batch', 8), 'videos'), frames=(12, 'of a video'),
            words=(32, 'tokens of the longest caption'))
    command.add_argument('--variants', nargs='+', choices=VARIANTS, default=variants, metavar='VARIANT',
                         help=f'{"; ".join(f"{name}: {variant.about}" for name, variant in VARIANTS.items())} '
                              f'(default: {" ".join(variants)})')
    command.set_defaults(**defaults)


def numbers(command: argparse.ArgumentParser, **options: tuple[int, str]) -> None:
    """Adds whole numbers: name -> default and meaning."""
    for name, (default, about) in options.items():
        command.add_argument(f'--{name}', type=int, default=default, help=f'{about} (default: {default:,})')


if __name__ == '__main__':
    run_tool(main)
