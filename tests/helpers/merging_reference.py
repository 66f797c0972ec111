"""A CLIP of 16 patches and the weights of TempMe, the same on every machine.

``tests/helpers/make_merging_golden.py`` runs a checkout of the public code on them and writes the features that it
computes to ``tests/data/merging_golden.json``; a test holds ours against it.
"""
from pathlib import Path

import numpy as np
import torch

from helpers import official_reference as reference

IMAGE, VIDEOS, FRAMES, RANK = 64, 3, 4, 4
GOLDEN = Path(__file__).parents[1] / 'data' / 'merging_golden.json'
#: Case -> arguments of our neck besides ``num_frames`` and ``lora_rank``.
CASES = {
    'one joint after another': dict(merge_layers=(1, 2), merge_frames=(2, 2), tokens_per_layer=2, across=0.3,
                                    within=0.1),
    'one joint, then a layer': dict(merge_layers=(1,), merge_frames=(4,), tokens_per_layer=3, across=0.4, within=0.2),
    'as many as can be': dict(merge_layers=(1, 2), merge_frames=(2, 2), tokens_per_layer=8, across=0.5, within=0.5)}


def state() -> dict[str, torch.Tensor]:
    """``official_reference``'s towers for images of 64 pixels, in the released code's naming."""
    rng = np.random.RandomState(17)
    found = {name: tensor for name, tensor in reference.official_state().items() if 'adapter' not in name}
    positions = 0.2 * rng.standard_normal(((IMAGE // reference.PATCH) ** 2 + 1, reference.VISION_WIDTH))
    return found | {'visual.positional_embedding': torch.tensor(positions, dtype=torch.float32)}


def updates() -> dict[str, list[tuple[torch.Tensor, torch.Tensor]]]:
    """Modality -> A ``(r, D)`` and B ``(3 D, r)`` of every layer, large enough to matter."""
    rng = np.random.RandomState(19)
    return {name: [tuple(torch.tensor(scale * rng.standard_normal(shape), dtype=torch.float32)
                         for scale, shape in ((width ** -0.5, (RANK, width)), (0.3, (3 * width, RANK))))
                   for _ in range(reference.LAYERS)]
            for name, width in (('vision', reference.VISION_WIDTH), ('text', reference.TEXT_WIDTH))}


def positions(count: int) -> torch.Tensor:
    """Positions ``(count, D)`` of the frames that enter a layer."""
    values = 0.5 * np.random.RandomState(23 + count).standard_normal((count, reference.VISION_WIDTH))
    return torch.tensor(values, dtype=torch.float32)


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    """Normalised clips ``(V, F, 3, S, S)`` and token ids ``(N, L)``."""
    frames = np.random.RandomState(29).standard_normal((VIDEOS, FRAMES, 3, IMAGE, IMAGE))
    return torch.tensor(frames, dtype=torch.float32), reference.inputs()[2]
