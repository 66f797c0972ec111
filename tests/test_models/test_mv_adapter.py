"""MV-Adapter against a frame-by-frame oracle of its formulas."""
import copy

import pytest
import torch
from clip_and_captions import CAPTIONS, FRAMES, features, randomised
from conftest import model_config, write_clip
from fake_tower import FakeTower, attached
from torch import nn
from torch.nn import functional as F

from mmcma.models import MVAdapter
from mmcma.utils.errors import ConfigError

SMALL = dict(type='MVAdapter', bottleneck_dim=4, factor_dim=3, tied_layers=1, max_frames=3)


def test_parameter_count_on_vit_b32():
    """By hand, r = 64: a narrow layer, two projections and a norm in each branch; positions, calibration, ties."""
    r, layer = 64, (3 * 64 * 64 + 3 * 64) + (64 * 64 + 64) + (64 * 256 + 256) + (256 * 64 + 64) + 4 * 64
    video = (768 * r + r + r * 768 + 768) + 2 * r + layer + 25 * r + r + (r * r + r) + (2 * r * 16 + 16) + 16 * r
    text = (512 * r + r + r * 512 + 512) + 2 * r + layer + 32 * r
    ties = 2 * (32 + 2 * (32 * r + r))
    neck = MVAdapter()
    neck.attach(vision=FakeTower(12, 768), text=FakeTower(12, 512))
    assert sum(p.numel() for p in neck.parameters()) == 12 * (video + text) + ties == 3_325_696


@pytest.mark.parametrize('precision', ['fp32', 'bf16'])
def test_exactly_the_backbone_at_the_start(tiny_clip, build, precision):
    model = build(model_config(tiny_clip, neck=SMALL, precision=precision)).eval()
    adapted = features(model)
    moved = features(randomised(model))
    with model.zero_shot():
        plain = features(model)
    assert all(torch.equal(one, other) for one, other in zip(adapted, plain))
    assert all((one - other).abs().max() > 1e-3 for one, other in zip(moved, plain))


def mixed(branch, sequence, mask=None):
    """One pre-norm layer with two heads on a sequence (S, r), between a LayerNorm and the activation."""
    layer = branch.mixer
    x = F.layer_norm(sequence + branch.position[:len(sequence)], (4,), branch.norm.weight, branch.norm.bias)
    y = F.layer_norm(x, (4,), layer.norm1.weight, layer.norm1.bias)
    heads = []
    q, k, v = (y @ layer.self_attn.in_proj_weight.T + layer.self_attn.in_proj_bias).chunk(3, dim=-1)
    for h in (slice(0, 2), slice(2, 4)):
        scores = q[:, h] @ k[:, h].T / 2 ** 0.5
        heads.append((scores if mask is None else scores.masked_fill(mask, -torch.inf)).softmax(-1) @ v[:, h])
    x = x + layer.self_attn.out_proj(torch.cat(heads, dim=-1))
    y = F.layer_norm(x, (4,), layer.norm2.weight, layer.norm2.bias)
    return gelu(x + layer.linear2(gelu(layer.linear1(y))))


def gelu(x):
    return x * torch.sigmoid(1.702 * x)


@torch.no_grad()
def test_video_branch_is_the_formula():
    torch.manual_seed(0)
    neck = attached(MVAdapter(bottleneck_dim=4, factor_dim=3, tied_layers=1, max_frames=3), vision=6, text=5)
    for parameter in neck.parameters():
        nn.init.normal_(parameter, std=0.5)
    branch, factor, hidden = neck.vision[0], neck.factors[0], torch.randn(6, 5, 6)  # two clips of three frames
    z = gelu(hidden @ (branch.down.weight * branch.tie(factor)[:, None]).T + branch.down.bias)
    expected = []
    for clip in z.split(3):
        whole, *rest = mixed(branch, torch.cat([branch.clip_token[None], clip[:, 0], clip[:, 1:].mean(1)]))
        for t in range(3):
            seen = torch.cat([rest[t] + rest[3 + t], branch.whole(whole)])
            alpha = 1 + branch.calibrate.weight @ branch.squeeze(seen).clamp_min(0)
            expected.append(branch.up(torch.cat([(alpha * rest[t])[None], clip[t, 1:]])))
    neck.num_frames = 3
    torch.testing.assert_close(neck._adapt_vision(branch, 0, hidden), hidden + 0.1 * torch.stack(expected))


@torch.no_grad()
def test_text_branch_is_the_formula():
    torch.manual_seed(0)
    neck = attached(MVAdapter(bottleneck_dim=4, factor_dim=3, tied_layers=0), vision=6, text=5)
    for parameter in neck.parameters():
        nn.init.normal_(parameter, std=0.5)
    branch, hidden = neck.text[0], torch.randn(2, 7, 5)
    after = torch.ones(7, 7, dtype=torch.bool).triu(1)
    expected = torch.stack([branch.up(mixed(branch, branch.down(caption), after)) for caption in hidden])
    torch.testing.assert_close(neck._adapt_text(branch, None, hidden), hidden + 0.1 * expected)


def test_padding_of_a_caption_changes_nothing(tiny_clip, build):
    model = randomised(build(model_config(tiny_clip, neck=SMALL)))
    with torch.no_grad():
        alone, padded = (model.encode_text(captions).pooled[0] for captions in (['moon'], ['moon', 'a red star moon']))
    torch.testing.assert_close(alone, padded)


def test_layers_are_tied_from_the_last_one_down(tmp_path, build):
    model = randomised(build(model_config(
        write_clip(tmp_path / 'deep', vision_layers=3, text_layers=2), neck={**SMALL, 'tied_layers': 2})))
    assert [branch.tie is not None for branch in model.neck.vision] == [False, True, True]
    assert [branch.tie is not None for branch in model.neck.text] == [True, True]
    for encode in (lambda: model.encode_visual(FRAMES), lambda: model.encode_text(CAPTIONS)):
        gradients = torch.autograd.grad(encode().pooled.sum(), [*model.neck.factors])
        assert all(gradient.abs().sum() > 0 for gradient in gradients)


def test_gradients_reach_every_parameter_of_an_independent_copy(tiny_clip, build):
    model = build(model_config(tiny_clip, neck=SMALL)).eval()
    plain, twin = features(model), randomised(copy.deepcopy(model))
    scores = twin.similarity(twin.encode_text(CAPTIONS), twin.encode_visual(FRAMES))
    (scores * torch.tensor([[1., 2.], [3., 5.]])).sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in twin.trainable_parameters().values())
    assert torch.equal(features(model)[0], plain[0])


@pytest.mark.parametrize('limit, value, there', [('max_frames', 2, '3 frames'), ('max_words', 3, '5 tokens')])
def test_more_than_was_built_for_is_refused_with_both_numbers(tiny_clip, build, limit, value, there):
    model = build(model_config(tiny_clip, neck={**SMALL, limit: value}))
    with pytest.raises(ConfigError, match=f'MVAdapter.{limit}={value}, but .* {there}'):
        features(model)


@pytest.mark.parametrize('start', [0, None])
def test_a_tower_without_class_token_is_refused(start):
    vision = FakeTower(2, 8)
    vision.prompt_start = start
    with pytest.raises(ConfigError, match="class tokens .* 'fake' names none; STAdapter"):
        MVAdapter().attach(vision=vision, text=FakeTower(2, 8))


@pytest.mark.parametrize('wrong', [
    dict(bottleneck_dim=0), dict(bottleneck_dim=3), dict(num_heads=0), dict(factor_dim=0), dict(max_words=0),
    dict(max_frames=1), dict(tied_layers=-1), dict(tied_layers=3)])
def test_values_out_of_range_are_refused(wrong):
    name, value = next(iter(wrong.items()))
    with pytest.raises(ConfigError, match=f'MVAdapter.{name}={value} '):
        attached(MVAdapter(**wrong), layers=2, vision=8, text=6)
