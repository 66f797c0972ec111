"""Training as the released code does it: its optimizer and schedule, and 300 steps of both on the same batches."""
import math

import pytest
import torch
from helpers import official_reference as reference
from helpers import released_training as training
from helpers.clip import model_config
from helpers.tiny_run import BASE
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from safetensors.torch import load_file

from mmcma.config import load_config
from mmcma.engine.optim import BertAdam
from mmcma.registry import PARAM_SCHEDULERS
from mmcma.structures import RetrievalSample
from mmcma.utils.errors import ConfigError


def train(model, steps: int, **changes) -> dict[str, torch.Tensor]:
    """What trains, after the steps with the paper's schedule."""
    cfg = load_config(str(BASE / 'schedules' / 'cma_5e.py'), changes)
    with DefaultScope.overwrite_default_scope('mmcma'):
        wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
        scheduler = PARAM_SCHEDULERS.build(dict(cfg.param_scheduler[0], optimizer=wrapper, end=training.STEPS))
    samples = [RetrievalSample(metainfo=dict(item_id=str(item), item_index=item)) for item in range(training.BATCH)]
    batches = training.batches()
    for step in range(steps):
        inputs = dict(zip(('pixels', 'mask', 'token_ids', 'token_mask'), batches[step % len(batches)]))
        wrapper.update_params(model(inputs, samples, mode='loss')['loss'])
        scheduler.step()
    return {name: p.detach() for name, p in model.trainable_parameters().items()}


@pytest.fixture
def model(tmp_path, build):
    model = build(model_config(
        reference.write_hf_folder(tmp_path), data_preprocessor=dict(type='RetrievalDataPreprocessor'),
        neck=dict(type='CrossModalAdapter', bottleneck_dim=training.BOTTLENECK, shared_dim=training.SHARED)))
    assert not model.load_state_dict(training.adapters(), strict=False).unexpected_keys
    return model.train()


def furthest(found: dict, expected: dict, start: dict) -> float:
    """The largest relative error of a tensor, of what training moved it by."""
    assert set(found) == set(expected) == set(start)
    return max(float((found[name] - expected[name]).norm() / (expected[name] - start[name]).norm())
               for name in expected)


@pytest.mark.slow
def test_300_steps_end_where_those_of_the_released_code_do(model):
    start, released = training.adapters(), load_file(training.GOLDEN)
    found = train(model, training.STEPS)
    for name, tensor in released.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-5, atol=1e-8, msg=name)
    assert furthest(found, released, start) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize('change', [
    {'optim_wrapper.optimizer.type': 'AdamW'}, {'param_scheduler.0.cosine_over': 'rest'}])
def test_another_optimizer_or_schedule_ends_elsewhere(model, change):
    found = train(model, training.STEPS, **change)
    assert furthest(found, load_file(training.GOLDEN), training.adapters()) > 0.02


def test_two_steps_by_hand():
    """g = 2, 1 with b = 0.5, 0.75: m = 1, 1; v = 1, 1; eps = 1 halves both; decay adds 0.1 of the weight."""
    weight = torch.nn.Parameter(torch.tensor([3.0]))
    optimizer = BertAdam([weight], lr=0.1, betas=(0.5, 0.75), eps=1.0, weight_decay=0.1)
    expected = 3.0
    for gradient in (2.0, 1.0):
        weight.grad = torch.tensor([gradient])
        optimizer.step()
        expected -= 0.1 * (0.5 + 0.1 * expected)
        assert weight.item() == pytest.approx(expected)


def test_it_differs_from_adamw_by_the_corrections_alone():
    torch.manual_seed(0)
    start, gradients = torch.randn(5).double(), torch.randn(12, 5).double()
    moved = {}
    for optimizer_type in (BertAdam, torch.optim.AdamW):
        weight = torch.nn.Parameter(start.clone())
        optimizer = optimizer_type([weight], lr=1e-3, betas=(0.9, 0.98), eps=0, weight_decay=0)
        moved[optimizer_type] = []
        for gradient in gradients:
            before, weight.grad = weight.detach().clone(), gradient
            optimizer.step()
            moved[optimizer_type].append(weight.detach() - before)
    for step, (ours, theirs) in enumerate(zip(*moved.values()), 1):
        expected = theirs * (1 - 0.9 ** step) / math.sqrt(1 - 0.98 ** step)
        torch.testing.assert_close(ours, expected)


def test_what_has_no_gradient_stays_and_a_closure_is_called():
    weights = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    optimizer = BertAdam(weights, lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = weights[0].sum()
        loss.backward()
        return loss
    assert optimizer.step(closure).item() == 2.0
    assert (weights[0] < 1).all() and (weights[1] == 1).all()


@pytest.mark.parametrize('arguments, message', [
    (dict(lr=-1.0), 'BertAdam.lr=-1.0'), (dict(betas=(0.9, 1.0)), r'BertAdam.betas=\(0.9, 1.0\)'),
    (dict(eps=float('nan')), 'BertAdam.eps=nan'), (dict(weight_decay=-0.2), 'BertAdam.weight_decay=-0.2')])
def test_values_out_of_range_are_errors(arguments, message):
    with pytest.raises(ConfigError, match=message):
        BertAdam([torch.nn.Parameter(torch.ones(1))], **arguments)
