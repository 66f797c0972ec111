"""The variants of a training step, and the curves of growth, by name. Imports nothing heavy: ``--help`` lists them."""
import argparse
from dataclasses import dataclass
from pathlib import Path

CONFIGS = Path(__file__).parents[3] / 'configs'
#: Name of the released code among the variants.
RELEASED = 'released'


@dataclass(frozen=True)
class Variant:
    """One of our ways to train.

    Attributes:
        about: What it is, in words.
        options: Replaced values of its config.
        method: Beginning of the config's path.
        tolerance: Largest relative error of the loss and of the adapters' gradient as a whole, against the first
            variant; None for full fine-tuning, which computes something else.
    """
    about: str
    options: dict
    method: str = 'cma/cma'
    tolerance: tuple[float, float] | None = None

    def config(self, size: str) -> Path:
        """The config for a size of :func:`size_of`."""
        return CONFIGS / f'{self.method}_{"vit-b32" if size == "tiny" else size}_msrvtt.py'


TOWERS = ['vision_backbone', 'text_backbone']
FP32, BF16 = {'model.precision': 'fp32'}, {'model.precision': 'bf16'}
ALL = {f'model.{tower}.trainable': True for tower in TOWERS}  # towers of any depth
FUSED = {f'model.{tower}.attn_implementation': 'sdpa' for tower in TOWERS}
EXACT, ROUNDED = (1e-5, 1e-4), (1e-2, 0.1)  # float32 keeps 24 bits, bf16 8
VARIANTS = {
    'float32': Variant('CLIP of transformers with our hooked adapters, float32', FP32, tolerance=EXACT),
    'bf16': Variant('under bf16 autocast, as the configs have it', BF16, tolerance=ROUNDED),
    'bf16-fused': Variant("with PyTorch's fused attention in every layer", {**BF16, **FUSED}, tolerance=ROUNDED),
    'bf16-compiled': Variant('compiled as well', {**BF16, 'compile': True}, tolerance=ROUNDED),
    'bf16-checkpointed': Variant("each layer's activations computed anew in the backward pass",
                                 {**BF16, 'activation_checkpointing': TOWERS}, tolerance=ROUNDED),
    'bf16-micro': Variant('two videos encoded at a time', {**BF16, 'model.micro_batch_size': 2}, tolerance=ROUNDED),
    'full-float32': Variant('full fine-tuning of the same CLIP, float32', {**FP32, **ALL}, 'finetune/full'),
    'full-bf16': Variant('full fine-tuning under bf16 autocast', {**BF16, **ALL}, 'finetune/full'),
}
#: The methods with a config for MSR-VTT, as their configs have them, the Cross-Modal Adapter first.
METHODS = {name: Variant(f'{name} as its config has it', {}, f'{folder}/{name}') for folder, name in sorted(
    ((path.parent.name, path.name.partition('_')[0]) for path in CONFIGS.glob('*/*_vit-b32_msrvtt.py')
     if path.parent.name != 'zeroshot'), key=lambda found: (found != ('cma', 'cma'), found))}
VARIANTS |= METHODS
#: Curve of growth -> label of the axis, sizes, sizes with --tiny.
CURVES = {
    'batch': ('videos of 6 frames in a batch', (2, 4, 8, 12, 16), (1, 2, 3)),
    'frames': ('frames of each of 4 videos', (2, 4, 8, 12, 16), (1, 2, 3)),
    'words': ('tokens of each of 32 captions', (8, 16, 32, 48, 64), (8, 16, 24)),
    'gallery': ('million pairs of text and item', (4000, 6000, 8000, 10000, 12000), (100, 200, 300)),
    'adapters': ('adapters held', (1, 25, 50, 75, 100), (1, 2, 3)),
    'loss': ('million pairs of text and video', (1024, 2048, 3072, 4096), (16, 32, 48)),
    'loss untiled': ('million pairs of text and video', (1024, 2048, 3072, 4096), (16, 32, 48)),
}


def size_of(args: argparse.Namespace) -> str:
    """The size of ``make_random_clip.SIZES`` that the arguments ask for."""
    return 'tiny' if args.tiny else args.backbone


def variant_names(args: argparse.Namespace) -> list[str]:
    """The variants that take part, the released code first where it is there."""
    return [RELEASED] * (args.official is not None) + args.variants


def setting(args: argparse.Namespace) -> str:
    """The step in words, for a table's title and a file's key."""
    return f'{size_of(args)}, {args.batch} x {args.frames} frames'
