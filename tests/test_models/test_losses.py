import math

import pytest
import torch
from helpers.clip import model_config
from torch.nn import functional as F

from mmcma.models.losses import DualSoftmaxLoss, SigmoidLoss, SymmetricInfoNCE
from mmcma.structures import Features
from mmcma.utils.errors import ConfigError

EYE = torch.eye(2, dtype=torch.bool)
LN3 = math.log(3)


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


def test_sigmoid_by_hand():
    """Right pairs at ln 3 have p = 3/4, wrong ones at 0 have 1/2; per text log(4/3) + log(2)."""
    loss = SigmoidLoss(bias=0)(torch.tensor([[LN3, 0], [0, LN3]]), EYE)
    torch.testing.assert_close(loss, torch.tensor(math.log(8 / 3)))
    two_positives = SigmoidLoss(bias=LN3)(torch.zeros(1, 3), torch.tensor([[True, True, False]]))
    torch.testing.assert_close(two_positives, torch.tensor(2 * math.log(4 / 3) + math.log(4)))


def test_sigmoid_bias_starts_where_the_softmax_is():
    """Equal logits of three items: b = -log 3, so that each pair has p = 1/4; once started, it stays."""
    loss_fn = SigmoidLoss()
    loss = loss_fn(torch.full((2, 3), 7.0), torch.tensor([[True, False, False], [False, True, False]]))
    assert loss_fn.bias.item() == pytest.approx(-7 - LN3)
    torch.testing.assert_close(loss, torch.tensor(math.log(4) + 2 * math.log(4 / 3)))
    loss.backward()
    torch.testing.assert_close(loss_fn.bias.grad, torch.tensor(-3 / 4 + 2 / 4))
    loss_fn(torch.zeros(2, 2), EYE)
    assert loss_fn.bias.item() == pytest.approx(-7 - LN3)


def test_sigmoid_bias_comes_from_the_config_then_from_the_backbone():
    for given, expected in ((None, -16.5), (-10.0, -10.0)):
        loss_fn = SigmoidLoss(bias=given)
        loss_fn.bind(-16.5)
        assert loss_fn.bias.item() == expected


HEAD = dict(type='RetrievalHead', similarity=dict(type='MeanPool'), loss=dict(type='SigmoidLoss'))


def test_sigmoid_bias_trains(tiny_clip, build):
    model = build(model_config(tiny_clip, head=HEAD))
    assert 'head.loss_fn.bias' in model.trainable_parameters() and model.head.loss_fn.bias.isnan()


@pytest.mark.parametrize('bias, factor', [(-12.9, 117.0), (None, 100.0)])
def test_only_the_scale_of_a_softmax_is_bounded(build, bias, factor):
    head = build(HEAD)
    head.bind(embed_dim=4, logit_scale=math.log(117.0), logit_bias=bias)
    features = Features(torch.randn(2, 4), torch.randn(2, 1, 4))
    assert head.loss(features, features, torch.arange(2))['logit_scale'].item() == pytest.approx(factor)


def test_dual_softmax_by_hand():
    """Each text prefers item 0 by 3 to 1.

    To visual, an item's two texts are equally likely, as likely as by chance:
    logits stay, and the rows are (3, 1) before normalising. To text, logits of
    item 0 are multiplied by 2 x 3/4, but its two captions stay equal.
    """
    t2v = -(math.log(3 / 4) + math.log(1 / 4)) / 2
    loss = DualSoftmaxLoss(temperature=1)(torch.tensor([[LN3, 0], [LN3, 0]]), EYE)
    torch.testing.assert_close(loss, torch.tensor((t2v + math.log(2)) / 2))


def test_dual_softmax_is_that_of_the_released_code():
    """Each logit times its softmax over the other axis times the length of that axis, at a temperature of 1000."""
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(1)) * 300
    positives = torch.arange(4)[torch.arange(6) % 4, None] == torch.arange(4)
    t2v = torch.stack([6 * row * torch.exp(row / 1000) / torch.exp(row / 1000).sum() for row in logits.T], 1)
    v2t = torch.stack([4 * row * torch.exp(row / 1000) / torch.exp(row / 1000).sum() for row in logits])
    expected = (sum(row[hit].logsumexp(0) - row.logsumexp(0) for row, hit in zip(t2v, positives)) / 6
                + sum(row[hit].logsumexp(0) - row.logsumexp(0) for row, hit in zip(v2t.T, positives.T)) / 4) / -2
    torch.testing.assert_close(DualSoftmaxLoss()(logits, positives), expected)


def test_dual_softmax_lets_a_batch_learn_at_the_scale_of_clip():
    """Without its factor the logits of 128 pairs would shrink by 128, and the gradient with them."""
    cosines = 0.2 + 0.04 * torch.randn(128, 128, generator=torch.Generator().manual_seed(2))
    positives, gradients = torch.eye(128, dtype=torch.bool), []
    for loss in (SymmetricInfoNCE(), DualSoftmaxLoss()):
        own = (cosines + 0.08 * positives).requires_grad_()
        loss(100 * own, positives).backward()
        gradients.append(own.grad.norm().item())
    assert gradients[1] == pytest.approx(gradients[0], rel=0.05)


def test_dual_softmax_with_a_flat_prior_is_info_nce():
    logits = torch.randn(5, 5, generator=torch.Generator().manual_seed(0)) * 4
    positives = torch.eye(5, dtype=torch.bool)
    positives[0, 1] = positives[1, 0] = True
    torch.testing.assert_close(DualSoftmaxLoss(temperature=1e6)(logits, positives),
                               SymmetricInfoNCE()(logits, positives), atol=1e-4, rtol=1e-4)
    with pytest.raises(ConfigError, match='DualSoftmaxLoss.temperature=0 must be above 0'):
        DualSoftmaxLoss(temperature=0)
