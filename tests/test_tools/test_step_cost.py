"""A training step as benchmarks and studies take it: the step must be the one that training does."""
import importlib

import pytest
import torch
from helpers.tiny_run import read_config, write_config

from mmcma.registry import DATASETS


@pytest.fixture
def steps():
    """The module that is tested."""
    return importlib.import_module('benchmarks.steps')


@pytest.fixture
def batch() -> dict:
    from helpers import tiny_run  # noqa: F401
    samples = [DATASETS.build(dict(type='NoiseClips', size=4, seed=1))[index] for index in (0, 2, 4)]
    return dict(inputs=[sample['inputs'] for sample in samples],
                data_samples=[sample['data_samples'] for sample in samples])


def test_cost_of_a_config(steps, tiny_clip, tmp_path):
    step = steps.step_of_config(write_config(tmp_path, tiny_clip), ['model.neck.dropout=0.0'], torch.get_num_threads())
    cost = step.measure()
    assert cost.seconds > 0 and step.work() != step.work()
    # At the least a gradient and two moments of every parameter that trains, 4 bytes each.
    assert 12 * step.trainable() < cost.peak_bytes < cost.process_bytes
    # Four slots; down and up of both towers with r = 4 and widths 64 and 48, of which 8 channels are shared.
    own = sum(4 * width + 4 + 5 * (width - 8) for width in (64, 48))
    assert step.trainable() == 4 * (own + 5 * 8)


def test_a_step_trains_and_gives_the_loss(steps, tiny_clip, tmp_path, batch):
    step = steps.ConfigStep(read_config(tmp_path, tiny_clip, **{'model.neck.dropout': 0.0}), batch)
    losses = [step.work() for _ in range(10)]
    assert losses[-1] < losses[0]
    assert step._optim_wrapper.clip_grad_kwargs and not step.model.vision_backbone.training


@pytest.mark.parametrize('options, passes', [({}, 1), (dict(activation_checkpointing=['vision_backbone']), 2)])
def test_settings_that_act_on_a_step_take_part(steps, tiny_clip, tmp_path, batch, options, passes):
    step = steps.ConfigStep(read_config(tmp_path, tiny_clip, **options), batch)
    calls = []
    step.model.vision_backbone.sites[0].module.register_forward_hook(lambda *_: calls.append(1))
    step.work()
    assert len(calls) == passes


@pytest.mark.slow
def test_a_step_is_compiled_where_the_config_says_so(steps, tiny_clip, tmp_path, batch):
    torch._dynamo.reset()
    step = steps.ConfigStep(read_config(tmp_path, tiny_clip, compile=dict(backend='eager')), batch)
    step.work()
    assert torch._dynamo.utils.counters['stats']['unique_graphs'] > 0
