"""A training run on the weights of ``official_reference``, for our code and for the released code.

``tests/helpers/make_official_golden.py`` writes what the released code's run ends with to
``tests/data/released_training.safetensors``; a test holds ours against it.
"""
from pathlib import Path

import numpy as np
import torch

from helpers import official_reference as reference
from helpers.clip import VOCABULARY

STEPS, BATCH, WORDS = 300, 4, 8
BOTTLENECK, SHARED = 8, 16  # the released code's defaults, which its settings name
GOLDEN = Path(__file__).parents[1] / 'data' / 'released_training.safetensors'


def adapters() -> dict[str, torch.Tensor]:
    """Adapters as training begins with them, in our naming: weights of 0.01, biases zero."""
    rng, found = np.random.RandomState(3), {}
    for slot in range(2 * reference.LAYERS):
        for modality, width in (('vision', reference.VISION_WIDTH), ('text', reference.TEXT_WIDTH)):
            for part, shape in (('down', (BOTTLENECK, width)), ('up', (width - SHARED, BOTTLENECK))):
                _add(found, rng, f'neck.slots.{slot}.{modality}.{part}', shape)
        _add(found, rng, f'neck.slots.{slot}.shared', (SHARED, BOTTLENECK))
    return found


def _add(found: dict, rng: np.random.RandomState, name: str, shape: tuple[int, int]) -> None:
    found[f'{name}.weight'] = torch.tensor(0.01 * rng.standard_normal(shape), dtype=torch.float32)
    found[f'{name}.bias'] = torch.zeros(shape[0])


def batches() -> list[tuple[torch.Tensor, ...]]:
    """Ten batches that training takes in turn.

    Each has normalised clips float32 ``(B, T, 3, S, S)``, their mask bool ``(B, T)``, and token ids int64 ``(B, L)``
    of captions of four to eight tokens, with their mask bool ``(B, L)``.
    """
    rng, found = np.random.RandomState(5), []
    for _ in range(10):
        size = (BATCH, reference.FRAMES, 3, reference.IMAGE, reference.IMAGE)
        clips = torch.tensor(rng.standard_normal(size), dtype=torch.float32)
        mask = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 1, 1]], dtype=torch.bool)
        tokens = torch.zeros(BATCH, WORDS, dtype=torch.long)
        for row, length in enumerate(rng.randint(2, WORDS - 1, BATCH)):
            tokens[row, 0] = VOCABULARY['bos_token_id']
            tokens[row, 1:1 + length] = torch.tensor(rng.randint(1, 1300, length))
            tokens[row, 1 + length] = VOCABULARY['eos_token_id']
        found.append((clips, mask, tokens, tokens != 0))
    return found
