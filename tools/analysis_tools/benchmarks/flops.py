"""Floating point operations that a training step needs, and no more.

The product of (m, k) and (k, n) takes 2 m k n. A layer of width d on a sequence of s tokens takes, for each token,
24 d^2 for its weights (four projections of d x d, two of d x 4 d) and 4 s d for attention, counted as if it were
not causal. The backward pass of a frozen weight computes the gradient of its input, as much as the forward pass;
attention, whose operands are both computed, and adapters, which train, take twice as much. What comes before the first
adapter has no backward pass: the patch embedding and the first layer's attention, nor has that adapter's input. In full
fine-tuning every weight takes both gradients, but the patch embedding only its own. Norms, activations and the
similarity are left out, and so is what a recomputation adds.
"""
from make_random_clip import SIZES


def clip_flops(size: str, *, frames: int, words: int, full: bool, bottleneck: int = 8) -> int:
    """Operations of one video and its caption, forward and backward.

    Args:
        size: One of ``make_random_clip.SIZES``.
        frames: Frames of the video.
        words: Tokens of the caption, padding among them.
        full: Full fine-tuning, and not adapters after both branches of every layer.
        bottleneck: Width of the adapters.
    """
    image, patch, width, layers, _, text_width, text_layers, _, joint, _ = SIZES[size]
    patches = (image // patch) ** 2
    embedding = 2 * 3 * patch**2 * width * patches
    projections = frames * 2 * width * joint + 2 * text_width * joint
    layered = (frames * _layers(width, layers, patches + 1, full, bottleneck)
               + _layers(text_width, text_layers, words, full, bottleneck))
    return frames * embedding * (2 if full else 1) + layered + projections * (3 if full else 2)


def _layers(width: int, layers: int, tokens: int, full: bool, bottleneck: int) -> int:
    """Operations of all layers of a tower on one sequence."""
    weights, attention = 24 * width**2 * tokens, 4 * tokens**2 * width  # of a layer, forward
    if full:
        return layers * 3 * (weights + attention)
    product = 2 * bottleneck * width * tokens  # an adapter takes two, a layer has two adapters
    before_first_adapter = 8 * width**2 * tokens + 2 * attention + product
    return layers * (2 * weights + 3 * attention + 3 * 4 * product) - before_first_adapter
