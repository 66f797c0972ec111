"""What only a GPU can show: precision, compilation and training there, against the CPU."""
import copy

import pytest
import torch
from helpers.clip import model_config
from helpers.clips import batch

from mmcma.registry import MODELS

pytestmark = pytest.mark.gpu


@pytest.fixture
def model(tiny_clip):
    torch.manual_seed(0)
    return MODELS.build(model_config(tiny_clip)).eval()


def features(model) -> list[torch.Tensor]:
    """Visual tokens ``(B, T, D)`` and texts ``(N, D)`` of one batch, on the CPU."""
    data = model.data_preprocessor(batch())
    with torch.no_grad():
        text, visual = model(**data, mode='tensor')
    return [visual.tokens.cpu(), text.pooled.cpu()]


def loss(model) -> torch.Tensor:
    return model(**model.data_preprocessor(batch(), training=True), mode='loss')['loss']


def test_features_are_those_of_the_cpu(model):
    expected = features(model)
    for found, wanted in zip(features(model.to('cuda')), expected):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


def test_bf16_is_near_fp32(model):
    expected = features(model.to('cuda'))
    model.precision = 'bf16'
    found = features(model)
    assert all(tensor.dtype == torch.float32 for tensor in found)
    for ours, wanted in zip(found, expected):
        assert torch.cosine_similarity(ours, wanted, dim=-1).min() > 0.995


def test_training_lowers_the_loss(model):
    model.to('cuda').train()
    optimizer = torch.optim.AdamW(model.trainable_parameters().values(), lr=1e-2)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        losses.append(loss(model))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0] - 0.01


def test_a_compiled_step_has_the_gradients_of_the_plain_one(model):
    plain = model.to('cuda')
    compiled = torch.compile(copy.deepcopy(plain))
    for step in (plain, compiled):
        loss(step).backward()
    for found, expected in zip(compiled.trainable_parameters().values(), plain.trainable_parameters().values()):
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-3, atol=1e-4)
