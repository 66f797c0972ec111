"""Training a few items at a time: the whole batch's loss and gradients, a few items' memory."""
import pytest
import torch
from helpers.clip import model_config
from helpers.clips import batch

from mmcma.utils.errors import ConfigError

NECKS = [dict(type='CrossModalAdapter', bottleneck_dim=4, shared_dim=8), dict(type='STAdapter', bottleneck_dim=4),
         dict(type='MaPLe', depth=2), dict(type='LoRA', r=2)]


def step(build, tiny_clip, size, neck=NECKS[0], similarity='QueryScore', **changes):
    """Loss, gradients by name, and bytes that the backward pass keeps besides weights and frames."""
    head = dict(type='RetrievalHead', similarity=dict(type=similarity), loss=dict(type='SymmetricInfoNCE'))
    model = build(model_config(tiny_clip, neck=neck, head=head, micro_batch_size=size, **changes)).train()
    torch.manual_seed(3)
    for parameter in model.trainable_parameters().values():
        torch.nn.init.normal_(parameter, std=0.1)
    data = model.data_preprocessor(batch(size=5, frames=3), True)
    data['inputs']['mask'][1, 2] = False
    own = {x.untyped_storage().data_ptr() for x in (*model.parameters(), data['inputs']['pixels'])}
    kept = {}
    with torch.autograd.graph.saved_tensors_hooks(
            lambda t: kept.update({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes()}) or t, lambda t: t):
        loss = model(**data, mode='loss')['loss']
    loss.backward()
    gradients = {name: p.grad for name, p in model.trainable_parameters().items()}
    return loss.detach(), gradients, sum(size for key, size in kept.items() if key not in own)


def assert_equal(step, expected) -> None:
    (loss, gradients, _), (expected_loss, expected_gradients, _) = step, expected
    torch.testing.assert_close(loss, expected_loss, rtol=1e-5, atol=1e-6)
    rounding = 1e-5 * max(gradient.abs().max().item() for gradient in expected_gradients.values())
    for name, gradient in expected_gradients.items():
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-4, atol=rounding, msg=name)


@pytest.mark.parametrize('neck', NECKS, ids=lambda neck: neck['type'])
@pytest.mark.parametrize('size', [1, 2, 7])
def test_loss_and_gradients_are_the_whole_batchs(tiny_clip, build, neck, size):
    assert_equal(step(build, tiny_clip, size, neck), step(build, tiny_clip, None, neck))


@pytest.mark.parametrize('similarity', ['TokenWise', 'SeqTransformer', 'XPool'])
def test_with_learned_heads_and_word_features_too(tiny_clip, build, similarity):
    whole = step(build, tiny_clip, None, similarity=similarity)
    assert any(name.startswith('head.') for name in whole[1])
    assert_equal(step(build, tiny_clip, 2, similarity=similarity), whole)


def test_the_features_alone_are_kept(tiny_clip, build):
    _, _, whole = step(build, tiny_clip, None)
    _, _, parts = step(build, tiny_clip, 1)
    assert parts < whole / 10


def test_testing_and_features_are_not_cut_up(tiny_clip, build, monkeypatch):
    model = build(model_config(tiny_clip, micro_batch_size=1)).eval()
    monkeypatch.setattr('mmcma.models.batch_encoding.checkpoint', None)
    model.test_step(batch())


@pytest.mark.parametrize('size', [0, -3])
def test_a_size_below_one_is_refused(tiny_clip, build, size):
    with pytest.raises(ConfigError, match=f'micro_batch_size={size} must be at least 1'):
        build(model_config(tiny_clip, micro_batch_size=size))
