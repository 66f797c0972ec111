"""Methods that know of clips, on the weights of ``official_reference``, the same on every machine.

``tests/helpers/make_video_method_golden.py`` runs checkouts of their public code on them and writes the features that
it computes to ``tests/data/video_method_golden.json``; a test holds ours against it.
"""
from pathlib import Path

import numpy as np
import torch
from torch import nn

from helpers import official_reference as reference
from helpers.clip import VOCABULARY
from helpers.head_reference import fill

GOLDEN = Path(__file__).parents[1] / 'data' / 'video_method_golden.json'
ENDS = dict(num_prefix=2, num_suffix=2)
#: Case -> our neck. DGL's public code takes four prompts of each kind alone.
CASES = {
    'vop': dict(type='VoP', num_prompts=2, **ENDS),
    'dgl-transformer': dict(type='DGL', max_frames=reference.FRAMES),
    'dgl-linear': dict(type='DGL', space='linear', max_frames=reference.FRAMES),
    'discovla': dict(type='DiscoVLA', lora_rank=4, clip_layers=2),
    'discovla-captions': dict(type='DiscoVLA', lora_rank=4, clip_layers=2, frame_captions=True, caption_layers=2),
    'prompt-switch': dict(type='PromptSwitch', num_prompts=3)}


@torch.no_grad()
def fill_neck(neck: nn.Module) -> nn.Module:
    """Random weights, with prompts of the size of what they stand among."""
    for name, parameter in fill(neck).named_parameters():
        if name.rpartition('.')[2] in ('tokens', 'clip', 'prompts'):
            parameter.mul_(5)
    return neck


def clips(case: str) -> torch.Tensor:
    """Normalised clips ``(4, 3, 3, S, S)``, or ``(2, 6, 3, S, S)`` where six frames are two times three prompts."""
    return reference.inputs()[0].unflatten(0, (-1, 6 if case == 'prompt-switch' else reference.FRAMES))


def captions(case: str) -> torch.Tensor:
    """Token ids ``(5, L)``, padded with 0; for VoP they end in each of the places that its code treats apart.

    Those are places far from the suffix, from where the feature is read among it, and the last one.
    """
    if case != 'vop':
        return reference.inputs()[2]
    rng = np.random.RandomState(29)
    ids = torch.zeros(5, reference.CONTEXT - sum(ENDS.values()), dtype=torch.long)
    for row, end in enumerate((2, 4, 5, 6, 7)):
        ids[row, :end] = torch.tensor(rng.randint(1, 1300, end))
        ids[row, 0], ids[row, end] = VOCABULARY['bos_token_id'], VOCABULARY['eos_token_id']
    return ids


def frame_captions() -> torch.Tensor:
    """Token ids ``(4, 3, L)`` of a caption of each frame of the clips, padded with 0."""
    rng = np.random.RandomState(31)
    ids = torch.zeros(reference.VIDEOS * reference.FRAMES, reference.CONTEXT, dtype=torch.long)
    for row in ids:
        end = rng.randint(2, reference.CONTEXT)
        row[:end] = torch.tensor(rng.randint(1, 1300, end))
        row[0], row[end] = VOCABULARY['bos_token_id'], VOCABULARY['eos_token_id']
    return ids.unflatten(0, (reference.VIDEOS, reference.FRAMES))
