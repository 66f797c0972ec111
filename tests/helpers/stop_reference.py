"""STOP on the CLIP of ``merging_reference``, the same on every machine.

``tests/helpers/make_stop_golden.py`` runs a checkout of the public code on it and writes the features that it computes
to ``tests/data/stop_golden.json``; a test holds ours against it.
"""
from pathlib import Path

import torch
from torch import nn

from helpers import merging_reference
from helpers.head_reference import fill

GOLDEN = Path(__file__).parents[1] / 'data' / 'stop_golden.json'
NECK = dict(type='STOP', max_frames=merging_reference.FRAMES)


@torch.no_grad()
def fill_neck(neck: nn.Module) -> nn.Module:
    """Random weights; what is added in small shares is large."""
    fill(neck)
    for name, tensor in [*neck.named_parameters(), *neck.named_buffers()]:
        if name.endswith('chooser_weight'):
            tensor.copy_(torch.linspace(-1, 1, tensor.numel()).sin().view_as(tensor))
        elif tensor.ndim == 5:
            tensor.mul_((tensor.shape[-1] / tensor[0].numel()) ** 0.5)
        elif name.rpartition('.')[2] in ('tokens', 'clip'):
            tensor.mul_(5)
        elif name.startswith(('pixels.to_pixels', 'between.to_prompts.2')):
            tensor.mul_(6)
    return neck.eval()
