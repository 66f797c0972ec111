"""Houlsby's adapters, AdaptFormer and the ST-Adapter."""
import copy

import pytest
import torch
from clip_and_captions import CAPTIONS, FRAMES, features, randomised
from conftest import model_config, write_clip
from fake_tower import FakeTower, attached
from small_duals import ARCHITECTURES, write_dual
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from mmcma.models import AdaptFormer, BottleneckAdapter, CrossModalAdapter, Site, STAdapter
from mmcma.utils.errors import ConfigError

ZERO_AT_START = [dict(type='AdaptFormer', bottleneck_dim=4, dropout=0.0), dict(type='STAdapter', bottleneck_dim=4)]


def count(neck: nn.Module) -> int:
    return sum(p.numel() for p in neck.parameters())


def on_vit_b32(neck):
    neck.attach(vision=FakeTower(12, 768), text=FakeTower(12, 512))
    return neck


def test_parameter_counts_on_vit_b32():
    """By hand: weights and biases of both projections, at each of the sites."""
    def bottleneck(dim, r):
        return dim * r + r + r * dim + dim
    assert count(on_vit_b32(BottleneckAdapter(bottleneck_dim=8))) == 24 * (
        bottleneck(768, 8) + bottleneck(512, 8)) == 522_624
    assert count(on_vit_b32(BottleneckAdapter(bottleneck_dim=8, kinds=['attn']))) == 522_624 // 2
    assert count(on_vit_b32(AdaptFormer(bottleneck_dim=64))) == 12 * (
        bottleneck(768, 64) + bottleneck(512, 64)) == 1_982_976
    assert count(on_vit_b32(STAdapter(bottleneck_dim=384))) == 12 * (bottleneck(768, 384) + 384 * 3 + 384) == 7_110_144


def test_uni_modal_adapters_are_the_cross_modal_ones_with_nothing_shared():
    torch.manual_seed(0)
    houlsby = attached(BottleneckAdapter(bottleneck_dim=3), layers=2, vision=10, text=6)
    torch.manual_seed(0)
    cma = attached(CrossModalAdapter(bottleneck_dim=3, shared_dim=0), layers=2, vision=10, text=6)
    assert [*houlsby.state_dict()] == [*cma.state_dict()]
    assert all(torch.equal(a, b) for a, b in zip(houlsby.state_dict().values(), cma.state_dict().values()))


def test_houlsby_starts_near_the_backbone(tiny_clip, build):
    model = build(model_config(tiny_clip, neck=dict(type='BottleneckAdapter'))).eval()
    adapted = features(model)
    with model.zero_shot():
        plain = features(model)
    for one, other in zip(adapted, plain):
        assert 0 < (one - other).abs().max() < 0.01 * other.abs().max()


@pytest.mark.parametrize('neck', ZERO_AT_START, ids=lambda neck: neck['type'])
@pytest.mark.parametrize('precision', ['fp32', 'bf16'])
def test_what_is_zero_at_the_start_gives_the_backbone_exactly(tiny_clip, build, neck, precision):
    model = build(model_config(tiny_clip, neck=neck, precision=precision)).eval()
    adapted = features(model)
    moved = features(randomised(model))
    with model.zero_shot():
        plain = features(model)
    assert all(torch.equal(one, other) for one, other in zip(adapted, plain))
    assert not torch.equal(moved[0], plain[0])
    assert torch.equal(moved[1], plain[1]) == (neck['type'] == 'STAdapter')  # which leaves the text alone


@pytest.mark.parametrize('neck', [*ZERO_AT_START, dict(type='BottleneckAdapter', kinds=['ffn'])],
                         ids=lambda neck: neck['type'])
def test_gradients_reach_every_parameter(tmp_path, build, neck):
    model = randomised(build(model_config(write_clip(tmp_path / 'deep', vision_layers=3, text_layers=2), neck=neck)))
    scores = model.similarity(model.encode_text(CAPTIONS), model.encode_visual(FRAMES))
    (scores * torch.tensor([[1., 2.], [3., 5.]])).sum().backward()
    assert len(model.trainable_parameters()) == len([*model.neck.parameters()]) > 0
    assert all(p.grad.abs().sum() > 0 for p in model.trainable_parameters().values())


@pytest.mark.parametrize('neck', ZERO_AT_START, ids=lambda neck: neck['type'])
def test_a_copy_is_independent(tiny_clip, build, neck):
    model = build(model_config(tiny_clip, neck=neck)).eval()
    plain, twin = features(model), randomised(copy.deepcopy(model))
    assert not torch.equal(features(twin)[0], plain[0]) and torch.equal(features(model)[0], plain[0])


def vision_layers(model, adapt_input=None, adapt_ffn=None):
    """The vision tower on ``FRAMES`` as a plain loop over its layers, with these additions."""
    tower = model.vision_backbone
    x = tower.encoder.embeddings(model.data_preprocessor.normalise(FRAMES.flatten(0, 1)))
    x = tower.encoder.pre_layrnorm(x)
    for layer, block in enumerate(tower.blocks):
        x = adapt_input(layer, x) if adapt_input else x
        x = x + block.self_attn(block.layer_norm1(x))[0]
        normed = block.layer_norm2(x)
        x = x + block.mlp(normed) + (adapt_ffn(layer, normed) if adapt_ffn else 0)
    return tower.projection(tower.encoder.post_layernorm(x[:, 0])).unflatten(0, FRAMES.shape[:2])


def test_adaptformer_is_the_formula(tiny_clip, build):
    """x + FFN(LN(x)) + s (ReLU(LN(x) Wd + bd) Wu + bu), in a plain loop."""
    model = randomised(build(model_config(tiny_clip, neck=dict(type='AdaptFormer', bottleneck_dim=4, scale=0.7))))

    def branch(layer, x):
        own = model.neck.vision[layer]
        down = F.relu(x @ own.down.weight.T + own.down.bias)
        return 0.7 * (down @ own.up.weight.T + own.up.bias)
    adapted, _ = features(model)
    with model.zero_shot(), torch.no_grad():
        torch.testing.assert_close(adapted, vision_layers(model, adapt_ffn=branch))


def test_adaptformer_beside_a_branch_that_ends_in_another_module():
    """As in BERT and in mmpretrain's ViT: the site's module is the last of two, its entry the first."""
    class Doubling(FakeTower):
        @property
        def sites(self):
            return [Site(0, kind, getattr(block, kind)[1], 6, getattr(block, kind)[0])
                    for block in self.layers for kind in ('attn', 'ffn')]
    tower = Doubling(1, 6)
    for kind in ('attn', 'ffn'):
        setattr(tower.layers[0], kind, nn.Sequential(nn.LayerNorm(6), nn.LayerNorm(6)))
    neck = AdaptFormer(bottleneck_dim=4, scale=0.7, dropout=0.0)
    neck.attach(vision=tower, text=FakeTower(1, 6))
    own = neck.vision[0]
    nn.init.normal_(own.up.weight)
    x = torch.randn(2, 3, 6)
    x = x + tower.layers[0].attn(x)
    with neck.disabled():
        plain = tower.layers[0].ffn(x)
    torch.testing.assert_close(tower.layers[0].ffn(x), plain + 0.7 * own.up(F.relu(own.down(x))))
    assert own.entered is None


def test_st_adapter_without_class_token_adapts_every_token():
    vision = FakeTower(1, 6)
    vision.prompt_start = None
    neck = STAdapter(bottleneck_dim=4)
    neck.attach(vision=vision, text=FakeTower(1, 6))
    nn.init.normal_(neck.adapters[0].over_time.weight)
    neck.num_frames = 2
    x = torch.randn(4, 3, 6)
    torch.testing.assert_close(vision.layers[0](x), 4 * neck.adapters[0](x, 2, None))


def test_st_adapter_is_the_formula(tiny_clip, build):
    """The paper's 3D convolution on the grid of patches, frame by frame, clip by clip."""
    model = randomised(build(model_config(tiny_clip, neck=dict(type='STAdapter', bottleneck_dim=4))))

    def adapt(layer, x):
        own = model.neck.adapters[layer]
        kernel = own.over_time.weight[..., None, None]  # (r, 1, 3, 1, 1)
        clips = []
        for clip in x.split(FRAMES.shape[1]):  # (T, 1 + 4, C)
            grid = own.down(clip[:, 1:]).unflatten(1, (2, 2)).permute(3, 0, 1, 2)  # (r, T, 2, 2)
            mixed = F.conv3d(grid[None], kernel, own.over_time.bias, padding=(1, 0, 0), groups=4)[0]
            patches = clip[:, 1:] + own.up(mixed.permute(1, 2, 3, 0).flatten(1, 2))
            clips.append(torch.cat([clip[:, :1], patches], dim=1))
        return torch.cat(clips)
    adapted, _ = features(model)
    with model.zero_shot(), torch.no_grad():
        torch.testing.assert_close(adapted, vision_layers(model, adapt_input=adapt))


def test_st_adapter_sees_the_order_of_frames_and_only_its_own_clip(tiny_clip, build):
    model = randomised(build(model_config(tiny_clip, neck=dict(type='STAdapter', bottleneck_dim=4))))
    with torch.no_grad():
        both, first = model.encode_visual(FRAMES).tokens, model.encode_visual(FRAMES[:1]).tokens
        back = model.encode_visual(FRAMES.flip(1)).tokens.flip(1)
    torch.testing.assert_close(both[:1], first)
    assert (both - back).abs().max() > 1e-3


def test_layers_and_kinds_choose_the_sites():
    neck = attached(AdaptFormer(bottleneck_dim=2, layers=[0, -1]), layers=3, vision=8, text=6)
    assert len(neck.vision) == len(neck.text) == 2
    assert len(attached(STAdapter(bottleneck_dim=2, layers=[-1]), layers=3, vision=8, text=6).adapters) == 1
    assert len(attached(BottleneckAdapter(kinds=['ffn'], layers=[1]), layers=3, vision=8, text=6).slots) == 1


@pytest.mark.parametrize('neck', [AdaptFormer, STAdapter, BottleneckAdapter])
@pytest.mark.parametrize('layers', [[], [3], [-4], [0, 'last']])
def test_layers_that_are_not_there_are_refused(neck, layers):
    with pytest.raises(ConfigError, match=rf'{neck.__name__}.layers=\[') as error:
        attached(neck(layers=layers), layers=3, vision=8, text=6)
    assert 'nothing to train' in str(error.value) if not layers else f'{layers[-1]!r} must be' in str(error.value)


@pytest.mark.parametrize('neck, name, value', [
    (AdaptFormer, 'bottleneck_dim', 0), (AdaptFormer, 'scale', 0), (AdaptFormer, 'dropout', 1.0),
    (STAdapter, 'bottleneck_dim', 0), (STAdapter, 'kernel_size', 2), (STAdapter, 'kernel_size', 1),
    (BottleneckAdapter, 'bottleneck_dim', 0), (BottleneckAdapter, 'dropout', -0.1)])
def test_values_out_of_range_are_refused(neck, name, value):
    with pytest.raises(ConfigError, match=f'{neck.__name__}.{name}={value}'):
        neck(**{name: value})


@pytest.mark.parametrize('kinds', [[], ['mlp'], 'attn'])
def test_unknown_kinds_are_refused(kinds):
    with pytest.raises(ConfigError, match='BottleneckAdapter.kinds='):
        attached(BottleneckAdapter(kinds=kinds), vision=8, text=6)


@pytest.mark.parametrize('neck', ZERO_AT_START, ids=lambda neck: neck['type'])
def test_a_recomputed_tower_has_the_same_gradients(tiny_clip, build, neck):
    """What hooks keep between two places survives a forward pass that runs again in the backward pass."""
    model = randomised(build(model_config(tiny_clip, neck=neck)))
    tower, pixels = model.vision_backbone, model.data_preprocessor.normalise(FRAMES)
    weights = [p for name, p in model.neck.named_parameters() if not name.startswith('text.')]
    plain = tower(pixels)
    recomputed = checkpoint(tower, pixels, use_reentrant=False)
    for one, other in zip(*(torch.autograd.grad(found.square().sum(), weights) for found in (plain, recomputed))):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize('neck', [dict(type='STAdapter', bottleneck_dim=4),
                                  dict(type='MVAdapter', bottleneck_dim=4, tied_layers=1, max_frames=5)],
                         ids=lambda neck: neck['type'])
def test_padding_frames_have_no_say(tiny_clip, build, neck):
    """Of a clip of two frames, what follows them may be anything."""
    model = randomised(build(model_config(tiny_clip, neck=neck))).eval()
    frames = torch.randint(0, 256, (2, 4, 3, 32, 32), dtype=torch.uint8)
    other = frames.clone()
    other[0, 2:] = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    mask = torch.tensor([[True, True, False, False], [True] * 4])
    with torch.no_grad():
        found = [[model.encode_visual(of, of_mask).tokens[mask] for of in (frames, other)] for of_mask in (mask, None)]
    torch.testing.assert_close(*found[0])
    assert not torch.allclose(*found[1], atol=1e-4)


@pytest.mark.parametrize('architecture', [name for name in ARCHITECTURES if name != 'clip'])
def test_other_architectures(tmp_path, build, architecture):
    """Layers that normalise last, towers without class token: exact at the start, and every weight learns."""
    folder = write_dual(tmp_path, architecture)
    for neck in ZERO_AT_START:
        model = build(model_config(folder, neck=neck, data_preprocessor=dict(type='RetrievalDataPreprocessor'))).eval()
        adapted = features(model)
        with model.zero_shot():
            assert all(torch.equal(one, other) for one, other in zip(adapted, features(model)))
        scores = randomised(model).similarity(model.encode_text(CAPTIONS), model.encode_visual(FRAMES))
        (scores * torch.tensor([[1., 2.], [3., 5.]])).sum().backward()
        assert all(p.grad.any() for p in model.trainable_parameters().values())
