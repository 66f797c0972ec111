import math

import torch
from torch.nn import functional as F

from mmcma.models import SymmetricInfoNCE


def test_one_positive_a_row_is_clips_loss():
    logits = torch.randn(6, 6, generator=torch.Generator().manual_seed(0)) * 4
    target = torch.arange(6)
    clip = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
    torch.testing.assert_close(SymmetricInfoNCE()(logits, torch.eye(6, dtype=torch.bool)), clip)


def test_captions_of_one_item_are_positives_by_hand():
    """Rows 0 and 1 show one item; equal logits: p = 2/3, 2/3, 1/3 in both directions."""
    positives = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)
    expected = -(2 * math.log(2 / 3) + math.log(1 / 3)) / 3
    torch.testing.assert_close(SymmetricInfoNCE()(torch.zeros(3, 3), positives), torch.tensor(expected))


def test_a_second_positive_is_not_pushed_away():
    positives = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)
    logits = torch.zeros(3, 3, requires_grad=True)
    SymmetricInfoNCE()(logits, positives).backward()
    assert (logits.grad[positives] < 0).all() and (logits.grad[~positives] > 0).all()
