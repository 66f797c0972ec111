"""The ways to train that are compared, by name."""
import argparse
from dataclasses import dataclass
from pathlib import Path

CONFIGS = Path(__file__).parents[3] / 'configs'
#: The released code's name among the ways.
RELEASED = 'released'


@dataclass(frozen=True)
class Way:
    """One of ours.

    Attributes:
        about: What it is, in words.
        options: Of its config.
        method: Beginning of the config's path.
        tolerance: Largest relative error of the loss and of the adapters' gradient as a whole, against the first way;
            None for full fine-tuning, which computes something else.
    """
    about: str
    options: dict
    method: str = 'cma/cma'
    tolerance: tuple[float, float] | None = None

    def config(self, size: str) -> Path:
        """For a size of :func:`size_of`."""
        return CONFIGS / f'{self.method}_{"vit-b32" if size == "tiny" else size}_msrvtt.py'


TOWERS = ['vision_backbone', 'text_backbone']
FP32, BF16 = {'model.precision': 'fp32'}, {'model.precision': 'bf16'}
EAGER = {f'model.{tower}.attn_implementation': 'eager' for tower in TOWERS}
EXACT, ROUNDED = (1e-5, 1e-4), (1e-2, 0.1)  # float32 keeps 24 bits, bf16 8
WAYS = {
    'float32': Way('CLIP of transformers with our hooked adapters, float32', FP32, tolerance=EXACT),
    'bf16': Way('under bf16 autocast, as the configs have it', BF16, tolerance=ROUNDED),
    'bf16-eager': Way('with attention as plain products', {**BF16, **EAGER}, tolerance=ROUNDED),
    'bf16-compiled': Way('compiled as well', {**BF16, 'compile': True}, tolerance=ROUNDED),
    'bf16-eager-compiled': Way('both', {**BF16, **EAGER, 'compile': True}, tolerance=ROUNDED),
    'bf16-checkpointed': Way("each layer's activations computed anew in the backward pass",
                             {**BF16, 'activation_checkpointing': TOWERS}, tolerance=ROUNDED),
    'bf16-micro': Way('two videos encoded at a time', {**BF16, 'model.micro_batch_size': 2}, tolerance=ROUNDED),
    'full-float32': Way('full fine-tuning of the same CLIP, float32', FP32, 'finetune/full'),
    'full-bf16': Way('full fine-tuning under bf16 autocast', BF16, 'finetune/full'),
}


def add_step_arguments(parser: argparse.ArgumentParser, *, default: tuple[str, ...]) -> None:
    """What describes a training step; ``default`` are the ways beside the released code, which --official adds."""
    parser.add_argument('--backbone', choices=['vit-b32', 'vit-b16'], default='vit-b32')
    parser.add_argument('--batch', type=int, default=8, help='videos (default: 8)')
    parser.add_argument('--frames', type=int, default=12, help='of a video (default: 12)')
    parser.add_argument('--words', type=int, default=32, help='tokens of the longest caption (default: 32)')
    parser.add_argument('--ways', nargs='+', choices=WAYS, default=list(default), metavar='WAY',
                        help=f'{"; ".join(f"{name}: {way.about}" for name, way in WAYS.items())} '
                             f'(default: {" ".join(default)})')


def size_of(args: argparse.Namespace) -> str:
    """Of ``make_random_clip.SIZES``."""
    return 'tiny' if args.tiny else args.backbone


def way_names(args: argparse.Namespace) -> list[str]:
    """Those that take part, the released code first where it is there."""
    return [RELEASED] * (args.official is not None) + args.ways


def setting(args: argparse.Namespace) -> str:
    """The step in words, for a table's title and a file's key."""
    return f'{size_of(args)}, {args.batch} x {args.frames} frames'
