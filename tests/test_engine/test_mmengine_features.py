"""What mmengine offers and the model must not stand in the way of."""
import pytest
import torch
from helpers.tiny_run import read_config
from mmengine.runner import Runner

import mmcma.engine  # noqa: F401


def train(folder, pretrained, **options) -> Runner:
    folder.mkdir(exist_ok=True)
    runner = Runner.from_cfg(read_config(folder, pretrained, **options))
    runner.train()
    return runner


def trained(runner) -> dict:
    return {name: p.detach() for name, p in runner.model.named_parameters() if p.requires_grad}


@pytest.fixture(scope='module')
def plain(tiny_clip, tmp_path_factory) -> dict:
    return trained(train(tmp_path_factory.mktemp('plain'), tiny_clip))


def test_gradient_accumulation_steps_less_often(tiny_clip, tmp_path):
    runner = train(tmp_path, tiny_clip, **{
        'optim_wrapper.accumulative_counts': 2, 'optim_wrapper.optimizer': dict(type='AdamW', lr=1e-3)})
    steps = {state['step'].item() for state in runner.optim_wrapper.optimizer.state.values()}
    assert steps == {runner.max_iters // 2}


def test_bf16_trains_float32_weights_near_those_of_float32(tiny_clip, tmp_path, plain):
    runner = train(tmp_path, tiny_clip, **{'model.precision': 'bf16'})
    for name, parameter in trained(runner).items():
        assert parameter.dtype == torch.float32
        assert (parameter - plain[name]).abs().mean() < 0.2 * plain[name].abs().mean() + 1e-3, name


@pytest.mark.parametrize('modules', ['vision_backbone', ['vision_backbone', 'text_backbone'], [
    'vision_backbone.encoder.encoder.layers.0', 'text_backbone.encoder.encoder.layers.1']])
def test_activation_checkpointing_changes_nothing(tiny_clip, tmp_path, plain, modules):
    runner = train(tmp_path, tiny_clip, activation_checkpointing=modules)
    for name, parameter in trained(runner).items():
        assert torch.allclose(parameter, plain[name], atol=1e-6), name


@pytest.mark.slow
def test_compile_changes_nothing(tiny_clip, tmp_path, plain):
    torch._dynamo.reset()
    # The backend that generates code takes a minute on a CPU; this one does all but that.
    runner = train(tmp_path, tiny_clip, **{'compile': dict(backend='aot_eager'), 'train_cfg.val_interval': 3})
    for name, parameter in trained(runner).items():
        assert torch.allclose(parameter, plain[name], atol=1e-3), name
