"""Features and weights of every learned similarity, the same on every machine.

``tests/helpers/make_head_golden.py`` runs checkouts of the public code on them and writes the scores that it gives to
``tests/data/head_golden.json``; a test holds ours against it. Weights are made by our names, in the order of the
parameters of our module.
"""
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mmcma.structures import Features

TEXTS, ITEMS, FRAMES, WORDS, DIM, LAYERS = 5, 4, 4, 6, 128, 2
GOLDEN = Path(__file__).parents[1] / 'data' / 'head_golden.json'
#: Case -> our similarity.
CASES = {
    'SeqTransformer': dict(type='SeqTransformer', num_layers=LAYERS, max_frames=FRAMES),
    'SeqLSTM': dict(type='SeqLSTM'),
    'TightTransformer': dict(type='TightTransformer', num_layers=LAYERS, max_frames=FRAMES),
    'TokenWise': dict(type='TokenWise'),
    'XPool': dict(type='XPool')}


def features(case: str) -> tuple[Features, Features]:
    """Texts and items. Some captions and clips are shorter than others, but for X-Pool, which knows no padding."""
    rng = np.random.RandomState(17)
    sides = []
    for count, length, own in ((TEXTS, WORDS, (6, 2, 4, 1, 5)), (ITEMS, FRAMES, (4, 1, 3, 2))):
        tokens = torch.tensor(rng.standard_normal((count, length, DIM)), dtype=torch.float32)
        mask = torch.arange(length) < torch.tensor(own)[:, None]
        pooled = torch.tensor(rng.standard_normal((count, DIM)), dtype=torch.float32)
        sides.append(Features(pooled, tokens, None if case == 'XPool' else mask))
    return sides[0], sides[1]


@torch.no_grad()
def fill(module: nn.Module) -> nn.Module:
    """Gives the module random weights, in the order of its parameters; matrices keep their input's size about."""
    rng = np.random.RandomState(19)
    for name, parameter in module.named_parameters():
        values = torch.tensor(rng.standard_normal(tuple(parameter.shape)), dtype=torch.float32)
        gain = parameter.ndim == 1 and 'norm' in name and name.endswith('weight')
        size = 0.1 if parameter.ndim == 1 else parameter.shape[-1] ** -0.5
        parameter.copy_(1 + 0.1 * values if gain else size * values)
    return module.eval()
