import pytest
import torch
from conftest import model_config, write_clip
from fake_tower import FakeTower, attached
from torch import nn
from torch.nn import functional as F

from mmcma.models import CrossModalAdapter
from mmcma.utils.errors import ConfigError


def count(neck: nn.Module) -> int:
    return sum(p.numel() for p in neck.parameters())


@pytest.mark.parametrize('dataset, r, shared, expected', [
    ('MSR-VTT', 8, 16, 519_168), ('DiDeMo', 8, 8, 520_896), ('MSVD', 16, 16, 1_008_000),
    ('VATEX', 16, 64, 988_416), ('ActivityNet', 16, 512, 805_632)])
def test_parameter_counts_of_the_released_settings_on_vit_b(dataset, r, shared, expected):
    neck = CrossModalAdapter(bottleneck_dim=r, shared_dim=shared)
    neck.attach(vision=FakeTower(12, 768), text=FakeTower(12, 512))
    assert count(neck) == expected


def test_towers_of_different_depth_share_from_the_last_layer_down():
    """ViT-L/14: 24 vision layers of 1,024 channels, 12 text layers of 768."""
    neck = CrossModalAdapter(bottleneck_dim=8, shared_dim=16)
    neck.attach(vision=FakeTower(24, 1024), text=FakeTower(12, 768))
    assert [slot.shared is not None for slot in neck.slots] == [False] * 24 + [True] * 24
    own = 1024 * 8 + 8 + 8 * 1024 + 1024
    paired = (1024 * 8 + 8 + 8 * 1008 + 1008) + (768 * 8 + 8 + 8 * 752 + 752) + (8 * 16 + 16)
    assert count(neck) == 24 * own + 24 * paired


def test_adapter_is_the_formula():
    """A(h) = h + [s(h Wd + bd) Wu + bu, s(h Wd + bd) Ws + bs], worked out with the separate parts."""
    torch.manual_seed(1)
    neck = CrossModalAdapter(bottleneck_dim=3, shared_dim=4, init_std=0.5)
    neck.attach(vision=FakeTower(1, 10), text=FakeTower(1, 6))
    slot = neck.slots[0]
    for linear in (slot.shared, slot.vision.up, slot.vision.down):
        nn.init.normal_(linear.bias)
    h = torch.randn(2, 5, 10)
    z = h @ slot.vision.down.weight.T + slot.vision.down.bias
    z = z * torch.sigmoid(1.702 * z)
    unique = z @ slot.vision.up.weight.T + slot.vision.up.bias
    shared = z @ slot.shared.weight.T + slot.shared.bias
    torch.testing.assert_close(slot.adapt('vision', h), h + torch.cat([unique, shared], dim=-1))
    assert unique.shape[-1] == 6 and shared.shape[-1] == 4


@pytest.mark.parametrize('shared_dim', [0, 6])
def test_ends_of_the_shared_range(shared_dim):
    neck = CrossModalAdapter(bottleneck_dim=3, shared_dim=shared_dim)
    neck.attach(vision=FakeTower(1, 10), text=FakeTower(1, 6))
    assert (neck.slots[0].shared is None) == (shared_dim == 0)
    assert (neck.slots[0].text.up is None) == (shared_dim == 6)
    assert neck.slots[0].adapt('text', torch.randn(1, 2, 6)).shape == (1, 2, 6)


@pytest.mark.parametrize('wrong', [-1, 7])
def test_shared_dim_out_of_range_is_refused(wrong):
    neck = CrossModalAdapter(bottleneck_dim=3, shared_dim=wrong)
    with pytest.raises(ConfigError, match=rf'shared_dim={wrong} must be between 0 .* and 6'):
        neck.attach(vision=FakeTower(1, 10), text=FakeTower(1, 6))


@pytest.mark.parametrize('wrong', [
    dict(bottleneck_dim=0), dict(activation='gelo'), dict(dropout=1.0), dict(share='both')])
def test_other_values_out_of_range_are_refused(wrong):
    name, value = next(iter(wrong.items()))
    with pytest.raises(ConfigError, match=f'CrossModalAdapter.{name}={value!r}'):
        CrossModalAdapter(**wrong)


def test_initialisation():
    neck = CrossModalAdapter(bottleneck_dim=16, shared_dim=16, init_std=0.02)
    neck.attach(vision=FakeTower(4, 256), text=FakeTower(4, 128))
    for name, parameter in neck.named_parameters():
        if name.endswith('bias'):
            assert not parameter.any()
        else:
            assert abs(parameter.std().item() - 0.02) < 0.004, name


def test_shared_weights_get_gradients_from_both_modalities(tiny_clip, build):
    model = build(model_config(tiny_clip))
    shared = model.neck.slots[0].shared.weight
    frames = torch.randint(0, 256, (2, 1, 3, 32, 32), dtype=torch.uint8)
    from_vision, = torch.autograd.grad(model.encode_visual(frames).pooled.sum(), shared)
    from_text, = torch.autograd.grad(model.encode_text(['a red star']).pooled.sum(), shared)
    assert from_vision.abs().sum() > 0 and from_text.abs().sum() > 0


def test_hooks_reproduce_an_adapter_written_into_the_residual_branches(tiny_clip, build):
    """x = x + A(attn(ln1(x))); x = x + A(mlp(ln2(x))): a plain loop over the layers as the oracle."""
    model = build(model_config(tiny_clip, neck=dict(type='CrossModalAdapter', bottleneck_dim=4, shared_dim=8,
                                                    init_std=0.3))).eval()
    tower, slots = model.vision_backbone, list(model.neck.slots)
    pixels = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        adapted = tower(pixels)
        with model.zero_shot():
            plain = tower(pixels)
            x = tower.encoder.pre_layrnorm(tower.encoder.embeddings(pixels))
            for layer, block in enumerate(tower.blocks):
                x = x + slots[2 * layer].adapt('vision', block.self_attn(block.layer_norm1(x))[0])
                x = x + slots[2 * layer + 1].adapt('vision', block.mlp(block.layer_norm2(x)))
            oracle = tower.projection(tower.encoder.post_layernorm(x[:, 0]))
    torch.testing.assert_close(adapted, oracle)
    assert (adapted - plain).abs().max() > 1e-3


def test_deeper_vision_tower_works_end_to_end(tmp_path, build):
    model = build(model_config(write_clip(tmp_path / 'deep', vision_layers=4, text_layers=2)))
    frames = torch.randint(0, 256, (2, 3, 3, 32, 32), dtype=torch.uint8)
    scores = model.similarity(model.encode_text(['a', 'b b', 'c']), model.encode_visual(frames))
    scores.sum().backward()
    assert scores.shape == (3, 2)
    assert all(p.grad is not None for p in model.trainable_parameters().values())


def test_dropout_only_in_training():
    neck = CrossModalAdapter(bottleneck_dim=64, shared_dim=2, dropout=0.5, init_std=1.0)
    neck.attach(vision=FakeTower(1, 8), text=FakeTower(1, 8))
    h = torch.randn(1, 1, 8)
    neck.train()
    assert not torch.equal(neck.slots[0].adapt('text', h), neck.slots[0].adapt('text', h))
    neck.eval()
    assert torch.equal(neck.slots[0].adapt('text', h), neck.slots[0].adapt('text', h))


def test_gelu_is_an_option():
    neck = CrossModalAdapter(bottleneck_dim=2, shared_dim=0, activation='gelu', init_std=1.0)
    neck.attach(vision=FakeTower(1, 4), text=FakeTower(1, 4))
    own, h = neck.slots[0].vision, torch.randn(1, 3, 4)
    torch.testing.assert_close(neck.slots[0].adapt('vision', h), h + own.up(F.gelu(own.down(h))))


def test_shared_down_projection_is_the_formula():
    """A(h) = h + s(h1 Wd + h2 Ws + bd) Wu + bu, h2 the last d_s channels, worked out with the separate parts."""
    torch.manual_seed(1)
    neck = attached(CrossModalAdapter(bottleneck_dim=3, shared_dim=4, share='down', init_std=0.5), vision=10, text=6)
    slot = neck.slots[0]
    for name, dim in (('vision', 10), ('text', 6)):
        own, h = getattr(slot, name), torch.randn(2, 5, dim)
        nn.init.normal_(own.down.bias)
        nn.init.normal_(own.up.bias)
        z = h[..., :-4] @ own.down.weight.T + h[..., -4:] @ slot.shared_down.weight.T + own.down.bias
        z = z * torch.sigmoid(1.702 * z)
        torch.testing.assert_close(slot.adapt(name, h), h + z @ own.up.weight.T + own.up.bias)
    assert slot.shared is None and slot.shared_down.bias is None


def test_parameter_count_with_a_shared_down_projection():
    """Of each pair of down-projections 16 of the rows are one: 24 x 16 x 8 fewer than unshared (522,624)."""
    neck = CrossModalAdapter(bottleneck_dim=8, shared_dim=16, share='down')
    neck.attach(vision=FakeTower(12, 768), text=FakeTower(12, 512))
    assert count(neck) == 522_624 - 24 * 16 * 8 == 519_552


def test_all_the_text_towers_channels_shared_but_one_on_the_way_down():
    neck = attached(CrossModalAdapter(bottleneck_dim=3, shared_dim=5, share='down'), vision=10, text=6)
    assert neck.slots[0].text.down.weight.shape == (3, 1)
    with pytest.raises(ConfigError, match='shared_dim=6 must be between 0 .* and 5'):
        attached(CrossModalAdapter(bottleneck_dim=3, shared_dim=6, share='down'), vision=10, text=6)


def test_kinds_and_layers_choose_the_sites(tiny_clip, build):
    """Only the feed-forward network of the last layer: one slot, hooked to one place of each tower."""
    model = build(model_config(tiny_clip, neck=dict(type='CrossModalAdapter', kinds=['ffn'], layers=[-1])))
    assert len(model.neck.slots) == 1
    for tower in (model.vision_backbone, model.text_backbone):
        assert [bool(site.module._forward_hooks) for site in tower.sites] == [False, False, False, True]


def test_chosen_layers_pair_from_the_last_one_down():
    """Layers 0 and 3 of four, 0 and 1 of two: 3 and 1 are both last and share, the others have no partner."""
    neck = CrossModalAdapter(bottleneck_dim=2, shared_dim=2, kinds=['attn'], layers=[0, -1])
    neck.attach(vision=FakeTower(4, 8), text=FakeTower(2, 6))
    assert [(slot.vision is not None, slot.text is not None, slot.shared is not None) for slot in neck.slots] == [
        (True, False, False), (False, True, False), (True, True, True)]


@pytest.mark.parametrize('wrong', [dict(layers=[]), dict(layers=[2]), dict(kinds=[]), dict(kinds=['mlp'])])
def test_sites_that_are_not_there_are_refused(wrong):
    """Layer 2 is in the deeper tower only."""
    name, value = next(iter(wrong.items()))
    neck = CrossModalAdapter(**wrong)
    with pytest.raises(ConfigError) as error:
        neck.attach(vision=FakeTower(4, 32), text=FakeTower(2, 32))
    assert f'CrossModalAdapter.{name}={value!r}' in str(error.value)


def test_the_default_keeps_its_state_dict_keys():
    neck = attached(CrossModalAdapter(bottleneck_dim=2, shared_dim=2), vision=8, text=6)
    parts = ['shared', 'vision.down', 'vision.up', 'text.down', 'text.up']
    assert {name for name in neck.state_dict() if name.startswith('slots.0.')} == {
        f'slots.0.{part}.{kind}' for part in parts for kind in ('weight', 'bias')}
