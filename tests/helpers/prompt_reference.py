"""Prompts of every prompt method on the weights of ``official_reference``, the same on every machine.

``tests/helpers/make_prompt_golden.py`` runs a checkout of the public code on them and writes the features that it
computes to ``tests/data/prompt_golden.json``; a test holds ours against it.
"""
from pathlib import Path

import numpy as np
import torch

from helpers import official_reference as reference

COUNT = 2
GOLDEN = Path(__file__).parents[1] / 'data' / 'prompt_golden.json'
#: Case -> our neck.
CASES = {
    'coop': dict(type='CoOp', num_prompts=COUNT),
    'vpt-shallow': dict(type='VPT', num_prompts=COUNT, depth=1),
    'vpt-deep': dict(type='VPT', num_prompts=COUNT, depth=3),
    'vl-prompt': dict(type='VLPrompt', num_prompts=COUNT, depth=3),
    'maple': dict(type='MaPLe', num_prompts=COUNT, depth=2)}


def weights() -> dict[str, torch.Tensor]:
    """``vision`` ``(3, COUNT, width)``, ``text`` likewise, and the maps from text to vision, ``weight`` and ``bias``.

    They are of the size of what they stand among.
    """
    rng = np.random.RandomState(13)
    vision, text = reference.VISION_WIDTH, reference.TEXT_WIDTH
    shapes = dict(vision=(3, COUNT, vision), text=(3, COUNT, text), weight=(3, vision, text), bias=(3, vision))
    scale = dict(weight=0.1)
    return {name: torch.tensor(scale.get(name, 0.5) * rng.standard_normal(shape), dtype=torch.float32)
            for name, shape in shapes.items()}


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    """Frames ``(3, 3, S, S)``, and token ids ``(3, L)`` of captions that leave room for the prompts."""
    frames, _, tokens = reference.inputs()
    return frames[:3], tokens[[0, 1, 3], :reference.CONTEXT - COUNT]
