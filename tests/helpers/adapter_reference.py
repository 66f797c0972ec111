"""Hidden states and weights of the adapters that other papers have, the same on every machine.

``tests/helpers/make_adapter_golden.py`` runs checkouts of the public code on them and writes what it gives to
``tests/data/adapter_golden.json``; a test holds our modules against it.
"""
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from helpers.head_reference import fill
from mmcma.models.necks.adaptformer import ParallelBranch
from mmcma.models.necks.mv_adapter_branches import TextBranch, VideoBranch
from mmcma.models.necks.st_adapter import SpatioTemporalAdapter

DIM, BOTTLENECK, CLIPS, FRAMES, PATCHES, TEXTS, WORDS, FACTOR = 32, 8, 2, 5, 4, 3, 6, 12
GOLDEN = Path(__file__).parents[1] / 'data' / 'adapter_golden.json'
_TIED = dict(dim=DIM, bottleneck_dim=BOTTLENECK, num_heads=2, factor_dim=FACTOR)
#: Case -> our module, before it has its weights.
MODULES: dict[str, Callable[[], nn.Module]] = {
    'AdaptFormer': lambda: ParallelBranch(dim=DIM, bottleneck_dim=BOTTLENECK, scale=0.1, dropout=0.1),
    'STAdapter': lambda: SpatioTemporalAdapter(dim=DIM, bottleneck_dim=BOTTLENECK, kernel_size=3),
    'MVAdapter, video': lambda: VideoBranch(max_frames=FRAMES, **_TIED),
    'MVAdapter, text': lambda: TextBranch(max_words=WORDS, **_TIED)}


def module(case: str) -> nn.Module:
    """Our module in eval mode, with its weights."""
    return fill(MODULES[case]())


def inputs() -> dict[str, Tensor]:
    """Hidden states ``video`` ``(B T, 1 + P, D)`` and ``text`` ``(N, L, D)``, ``factor``, and ``mask`` ``(B, T)``."""
    rng = np.random.RandomState(23)
    shapes = dict(video=(CLIPS * FRAMES, 1 + PATCHES, DIM), text=(TEXTS, WORDS, DIM), factor=(FACTOR,))
    found = {name: torch.tensor(rng.standard_normal(shape), dtype=torch.float32) for name, shape in shapes.items()}
    return dict(found, mask=torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], dtype=torch.bool))


@torch.no_grad()
def ours() -> dict[str, Tensor]:
    """What our modules give, in eval mode; frames that are padding are left out."""
    given, modules = inputs(), {case: module(case) for case in MODULES}
    frames = modules['MVAdapter, video'](given['video'], FRAMES, given['mask'], given['factor'])
    modules['AdaptFormer'].enter(given['video'])
    patches = modules['STAdapter'](given['video'][:, 1:], FRAMES, None)
    return {'AdaptFormer': modules['AdaptFormer'].leave(given['video']),
            'STAdapter': torch.cat([given['video'][:, :1], patches], dim=1),
            'MVAdapter, video': frames[given['mask'].flatten()],
            'MVAdapter, text': modules['MVAdapter, text'](given['text'], given['factor'])}
