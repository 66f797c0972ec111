import math

import pytest
import torch
from helpers.clip import model_config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import DefaultScope

from mmcma.engine.optim import WarmupCosineLR
from mmcma.utils.errors import ConfigError


def build_wrapper(model, **paramwise) -> OptimWrapper:
    with DefaultScope.overwrite_default_scope('mmcma'):
        return build_optim_wrapper(model, dict(
            type='OptimWrapper', constructor='TrainedOptimWrapperConstructor',
            paramwise_cfg=paramwise or None, optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.2)))


def test_the_optimizer_gets_what_trains_and_decays_no_vectors(build, tiny_clip, capsys):
    model = build(model_config(tiny_clip))
    groups = build_wrapper(model).optimizer.param_groups
    assert {id(p) for group in groups for p in group['params']} == {
        id(p) for p in model.trainable_parameters().values()}
    decay = {group['weight_decay']: {p.ndim for p in group['params']} for group in groups}
    assert decay == {0.2: {2}, 0.0: {1}}
    assert 'requires_grad' not in capsys.readouterr().out


def decaying(model) -> set[str]:
    names = {id(p): name for name, p in model.named_parameters()}
    return {names[id(p)] for group in build_wrapper(model).optimizer.param_groups if group['weight_decay']
            for p in group['params']}


def test_prompts_do_not_decay_and_their_maps_do(build, tiny_clip):
    model = build(model_config(tiny_clip, neck=dict(type='MaPLe', num_prompts=2, depth=2)))
    assert decaying(model) == {'neck.coupling.0.weight', 'neck.coupling.1.weight'}
    both = dict(type='CombinedNeck', necks=[dict(type='VPT'), dict(type='AdaptFormer')])
    assert {name.split('.')[2] for name in decaying(build(model_config(tiny_clip, neck=both)))} == {'1'}


def test_mv_adapter_decays_all_but_biases(build, tiny_clip):
    model = build(model_config(tiny_clip, neck=dict(type='MVAdapter', tied_layers=1)))
    assert decaying(model) == {name for name in model.trainable_parameters() if not name.endswith('bias')}


def test_custom_keys_scale_rate_and_decay(build, tiny_clip):
    model = build(model_config(tiny_clip))
    groups = build_wrapper(model, custom_keys={
        'neck': dict(lr_mult=2.0), 'neck.slots.0': dict(lr_mult=0.5, decay_mult=0.5)}).optimizer.param_groups
    found = {(group['lr'], group['weight_decay']) for group in groups}
    assert found == {(2e-3, 0.2), (2e-3, 0.0), (5e-4, 0.1), (5e-4, 0.0)}


@pytest.mark.parametrize('paramwise, message', [
    (dict(custom_keys={'nick': dict(lr_mult=2.0)}), r"\['nick'\] match nothing"),
    (dict(bias_decay_mult=0), r"\['bias_decay_mult'\] unknown"),
])
def test_options_without_effect_are_errors(build, tiny_clip, paramwise, message):
    with pytest.raises(ConfigError, match=message):
        build_wrapper(build(model_config(tiny_clip)), **paramwise)


def rates(end: int, **kwargs) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    scheduler = WarmupCosineLR(optimizer, end=end, **kwargs)
    found = []
    for _ in range(end):
        found.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
    return found


def test_the_rate_rises_for_a_tenth_and_falls_along_a_cosine():
    found = rates(100)
    assert found[:10] == pytest.approx([2.0 * (i + 1) / 10 for i in range(10)])
    assert found[10:] == pytest.approx([1 + math.cos(math.pi * i / 90) for i in range(90)])


def test_the_released_cosine_is_over_all_of_training():
    """Of 100 steps the tenth that warms up rises from 0; at its end the cosine is at (1 + cos(0.1 pi)) / 2 = 0.9755."""
    found = rates(100, cosine_over='all')
    assert found[:10] == pytest.approx([2.0 * i / 10 for i in range(10)])
    assert found[10:] == pytest.approx([1 + math.cos(math.pi * i / 100) for i in range(10, 100)])
    assert found[10] == pytest.approx(2 * 0.97553, rel=1e-5)


@pytest.mark.parametrize('end', [1, 2, 5, 10, 11])
def test_short_runs_reach_the_full_rate(end):
    assert max(rates(end)) == pytest.approx(2.0, rel=0.05)


def test_arguments_out_of_range_are_errors():
    with pytest.raises(ConfigError, match='warmup_ratio=1.5'):
        rates(10, warmup_ratio=1.5)
    with pytest.raises(ConfigError, match='by_epoch=True'):
        rates(10, by_epoch=True)
    with pytest.raises(ConfigError, match="cosine_over='some'"):
        rates(10, cosine_over='some')
