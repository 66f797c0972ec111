"""LoRA, against a copy of the same CLIP that peft has rewritten."""
import copy

import pytest
import torch
from clip_and_captions import CAPTIONS, FRAMES, features
from conftest import model_config
from fake_tower import FakeTower
from torch import nn

from mmcma.models import LoRA
from mmcma.utils.errors import ConfigError


class LinearTower(FakeTower):
    """Layers whose attention is a fused projection ``qkv`` and ``proj``, as in mmpretrain."""

    def __init__(self, layers: int, dim: int) -> None:
        super().__init__(layers, dim)
        for block in self.layers:
            block.attn = nn.ModuleDict({'qkv': nn.Linear(dim, 3 * dim), 'proj': nn.Linear(dim, dim)})


class SplitTower(FakeTower):
    """Layers with one projection each for query, key, value and output, as in transformers."""

    def __init__(self, layers: int, dim: int) -> None:
        super().__init__(layers, dim)
        for block in self.layers:
            block.self_attn = nn.ModuleDict({f'{name}_proj': nn.Linear(dim, dim) for name in ('q', 'k', 'v', 'out')})


def lora(tiny_clip, build, precision='fp32', **arguments):
    return build(model_config(tiny_clip, neck=dict(type='LoRA', **arguments), precision=precision)).eval()


def test_parameter_count_on_vit_b32():
    """r = 8 on queries and values: two matrices of 8 rows, for each of two projections in 12 layers of both towers."""
    neck = LoRA(r=8)
    neck.attach(vision=SplitTower(12, 768), text=SplitTower(12, 512))
    assert sum(p.numel() for p in neck.parameters()) == 12 * 2 * (8 * (768 + 768) + 8 * (512 + 512)) == 491_520


def test_a_fused_projection_is_a_target_as_well():
    neck = LoRA(r=2, target_modules=['attn.qkv', 'v_proj'])
    neck.attach(vision=LinearTower(3, 8), text=SplitTower(2, 6))
    assert sum(p.numel() for p in neck.parameters()) == 3 * 2 * (8 + 24) + 2 * 2 * (6 + 6)


@pytest.mark.parametrize('arguments', [
    dict(r=4, lora_alpha=6), dict(r=2, lora_alpha=3, use_rslora=True, target_modules=['out_proj', 'fc1'])])
def test_equal_to_a_clip_that_peft_rewrote(tiny_clip, build, arguments):
    from peft import LoraConfig, inject_adapter_in_model
    model = lora(tiny_clip, build, **arguments)
    plain = build(model_config(tiny_clip, neck=None)).eval()
    options = {'target_modules': ['q_proj', 'v_proj'], **arguments}
    for name in ('vision', 'text'):
        tower = getattr(plain, f'{name}_backbone')
        blocks = inject_adapter_in_model(LoraConfig(**options), nn.ModuleList(tower.blocks))
        for index, block in enumerate(blocks):
            for path, module in block.named_modules():
                if hasattr(module, 'lora_A'):
                    ours = model.neck.updates[f'{name}-{index}-{path}'.replace('.', '-')]
                    for part in ('lora_A', 'lora_B'):
                        nn.init.normal_(getattr(ours, part).weight, std=0.3)
                        getattr(module, part)['default'].load_state_dict(getattr(ours, part).state_dict())
    with model.zero_shot():
        untouched = features(model)
    for ours, peft, before in zip(features(model), features(plain), untouched):
        torch.testing.assert_close(ours, peft, atol=1e-6, rtol=1e-6)
        assert (ours - before).abs().max() > 1e-3


@pytest.mark.parametrize('precision', ['fp32', 'bf16'])
def test_exactly_the_backbone_at_the_start(tiny_clip, build, precision):
    model = lora(tiny_clip, build, precision)
    adapted = features(model)
    with model.zero_shot():
        assert all(torch.equal(one, other) for one, other in zip(adapted, features(model)))
    assert all(update.lora_A.weight.any() for update in model.neck.updates.values())


def test_the_backbone_keeps_its_keys_and_its_weights(tiny_clip, build):
    model = lora(tiny_clip, build)
    plain = build(model_config(tiny_clip, neck=None))
    ours = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith('neck.')}
    assert ours.keys() == plain.state_dict().keys()
    assert all(torch.equal(tensor, ours[name]) for name, tensor in plain.state_dict().items())
    assert {name.rpartition('.')[0].rpartition('.')[2] for name in model.neck.state_dict()} == {'lora_A', 'lora_B'}


def test_a_copy_trains_on_its_own_and_gradients_reach_every_parameter(tiny_clip, build):
    model = lora(tiny_clip, build)
    plain, twin = features(model), copy.deepcopy(model)
    for parameter in twin.neck.parameters():
        nn.init.normal_(parameter, std=0.3)
    scores = twin.similarity(twin.encode_text(CAPTIONS), twin.encode_visual(FRAMES))
    (scores * torch.tensor([[1., 2.], [3., 5.]])).sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in twin.trainable_parameters().values())
    assert len(twin.trainable_parameters()) == 2 * 2 * 2 * 2  # towers, layers, projections, matrices
    assert not torch.equal(features(twin)[0], plain[0]) and torch.equal(features(model)[0], plain[0])


def test_dropout_only_in_training(tiny_clip, build):
    model = lora(tiny_clip, build, lora_dropout=0.5)
    for parameter in model.neck.parameters():
        nn.init.normal_(parameter, std=0.3)
    assert torch.equal(features(model)[1], features(model)[1])
    model.train()
    assert not torch.equal(features(model)[1], features(model)[1])


def test_a_target_that_is_not_there_is_refused_with_those_that_are(tiny_clip, build):
    with pytest.raises(ConfigError, match=r"no linear 'q_porj', but .*'mlp.fc1'.*'self_attn.q_proj'.*"
                                          r"Did you mean 'q_proj'"):
        lora(tiny_clip, build, target_modules=['v_proj', 'q_porj'])


def test_a_tower_without_a_target_is_refused():
    with pytest.raises(ConfigError, match=r"the vision tower has none of them; add some of .*'attn.proj'"):
        LoRA().attach(vision=LinearTower(2, 8), text=SplitTower(2, 6))


@pytest.mark.parametrize('name, value', [
    ('r', 0), ('lora_alpha', 0), ('lora_dropout', 1.0), ('target_modules', []), ('target_modules', 'q_proj')])
def test_values_out_of_range_are_refused(name, value):
    with pytest.raises(ConfigError) as error:
        LoRA(**{name: value})
    assert f'LoRA.{name}={value!r}' in str(error.value)
