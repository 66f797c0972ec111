"""Two processes against one: the same losses, gradients and ranks. On the CPU, with gloo."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.clip import model_config
from helpers.commands import run
from helpers.processes import in_group
from helpers.tiny_run import NoiseClips, write_config
from torch import distributed

from mmcma.engine.distributed import RetrieverDataParallel, start_processes
from mmcma.utils.errors import ConfigError

TOOLS = Path(__file__).parents[2] / 'tools'


def build_model(pretrained: str, **changes):
    import mmcma.models  # noqa: F401
    from mmcma.registry import MODELS
    torch.manual_seed(0)
    return MODELS.build(model_config(pretrained, **changes)).train()


def batch(indices) -> dict:
    samples = [NoiseClips(size=8, seed=1)[index] for index in indices]
    return {key: [sample[key] for sample in samples] for key in ('inputs', 'data_samples')}


def loss_and_gradients(model, data: dict) -> tuple[float, dict]:
    core = getattr(model, 'module', model)
    losses = model(**core.data_preprocessor(data, training=True), mode='loss')
    loss, _ = core.parse_losses(losses)
    loss.backward()
    return loss.item(), {name: p.grad for name, p in core.named_parameters() if p.requires_grad}


def of_a_rank(pretrained: str) -> list[tuple[float, dict]]:
    """Loss and gradients of this process's share of the batch, whole and in parts."""
    assert distributed.get_backend() == 'gloo'
    rank = distributed.get_rank()
    # What RetrieverDataParallel gets from mmengine, which knows GPUs only.
    models = [RetrieverDataParallel(build_model(pretrained, **own), device_ids=[rank]) for own in CHANGES.values()]
    return [loss_and_gradients(model, batch(INDICES[rank::2])) for model in models]


#: Captions of a batch of 6; 4 and 5 are of one item, on different ranks.
INDICES = [0, 3, 9, 7, 4, 5]


CHANGES = {'whole': dict(), 'in parts': dict(micro_batch_size=2)}


@pytest.fixture(scope='module')
def ranks(tiny_clip) -> dict[str, tuple]:
    """Loss and gradients of each process, by the name of what the model was built with."""
    return dict(zip(CHANGES, zip(*in_group(of_a_rank, tiny_clip)), strict=True))


@pytest.mark.parametrize('name', CHANGES)
def test_two_processes_give_loss_and_gradients_of_one_with_the_joined_batch(tiny_clip, ranks, name):
    joined = [*INDICES[0::2], *INDICES[1::2]]
    expected_loss, expected = loss_and_gradients(build_model(tiny_clip), batch(joined))
    assert sum(loss for loss, _ in ranks[name]) / 2 == pytest.approx(expected_loss, rel=1e-5)
    for _, gradients in ranks[name]:
        assert gradients.keys() == expected.keys()
        for name, gradient in gradients.items():
            # The largest gradients are near 1: float32 sums of them in another order differ by some 1e-7.
            assert torch.allclose(gradient, expected[name], rtol=1e-4, atol=1e-6), name


def script(name: str, *arguments) -> str:
    """What a script of tools/ says when it is started in two processes."""
    words = ['bash', TOOLS / name, *arguments]
    done = subprocess.run(words, env=dict(os.environ, PYTHON=sys.executable, CUDA_VISIBLE_DEVICES=''),
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_scripts_train_and_test_in_two_processes(tiny_clip, tmp_path):
    config, checkpoint = write_config(tmp_path, tiny_clip), tmp_path / 'work' / 'best.pth'
    said = script('dist_train.sh', config, '2', '--work-dir', checkpoint.parent)
    assert 'tensors are bit-identical to before training' in said
    metrics = {name: tmp_path / f'{name}.json' for name in ('one', 'two', 'zero_shot')}
    # The test set's 7 items do not divide by 2.
    script('dist_test.sh', config, checkpoint, '2', '--work-dir', tmp_path / 'two', '--out', metrics['two'])
    assert run('test', config, checkpoint, '--work-dir', tmp_path / 'one', '--out', metrics['one']) == 0
    assert run('test', config, '--work-dir', tmp_path / 'zero', '--out', metrics['zero_shot']) == 0
    one, two, zero_shot = (json.loads(out.read_text()) for out in metrics.values())
    assert one == two != zero_shot


def test_a_launcher_that_is_not_there_is_an_error(monkeypatch):
    variables = dict(pytorch='RANK', slurm='SLURM_PROCID', mpi='OMPI_COMM_WORLD_RANK')
    for launcher, variable in variables.items():
        monkeypatch.delenv(variable, raising=False)
        with pytest.raises(ConfigError, match=f'{launcher} needs the environment variable {variable}'):
            start_processes(launcher)


def test_more_processes_than_gpus_are_an_error(monkeypatch):
    for variable, value in (('RANK', '2'), ('WORLD_SIZE', '3'), ('LOCAL_RANK', '2')):
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    with pytest.raises(ConfigError, match='process 2 of this machine has no GPU of its own, there are 2'):
        start_processes('pytorch')
