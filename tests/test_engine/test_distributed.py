"""Two processes against one: the same losses, gradients and ranks. On the CPU, with gloo."""
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.clip import model_config
from helpers.tiny_run import NoiseClips, write_config
from torch import distributed, multiprocessing

from mmcma.engine.distributed import RetrieverDataParallel, start_processes, stop_processes
from mmcma.utils.errors import ConfigError

TOOLS = Path(__file__).parents[2] / 'tools'


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('', 0))
        return probe.getsockname()[1]


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


def worker(rank: int, port: int, pretrained: str, out: str, changes: dict) -> None:
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2', MASTER_ADDR='127.0.0.1',
                      MASTER_PORT=str(port), CUDA_VISIBLE_DEVICES='')
    start_processes('pytorch', dict(timeout=60))
    assert distributed.get_backend() == 'gloo'
    # What RetrieverDataParallel gets from mmengine, which knows GPUs only.
    model = RetrieverDataParallel(build_model(pretrained, **changes), device_ids=[rank])
    torch.save(loss_and_gradients(model, batch(INDICES[rank::2])), f'{out}/{rank}.pt')
    stop_processes()


#: Captions of a batch of 6; 4 and 5 are of one item, on different ranks.
INDICES = [0, 3, 9, 7, 4, 5]


@pytest.mark.parametrize('changes', [
    pytest.param(dict(), id='whole'), pytest.param(dict(micro_batch_size=2), id='in parts', marks=pytest.mark.slow)])
def test_two_processes_give_loss_and_gradients_of_one_with_the_joined_batch(tiny_clip, tmp_path, changes):
    multiprocessing.spawn(worker, (free_port(), tiny_clip, str(tmp_path), changes), nprocs=2)
    joined = [*INDICES[0::2], *INDICES[1::2]]
    expected_loss, expected = loss_and_gradients(build_model(tiny_clip), batch(joined))
    ranks = [torch.load(tmp_path / f'{rank}.pt') for rank in range(2)]
    assert sum(loss for loss, _ in ranks) / 2 == pytest.approx(expected_loss, rel=1e-5)
    for _, gradients in ranks:
        assert gradients.keys() == expected.keys()
        for name, gradient in gradients.items():
            # The largest gradients are near 1: float32 sums of them in another order differ by some 1e-7.
            assert torch.allclose(gradient, expected[name], rtol=1e-4, atol=1e-6), name


@pytest.fixture(scope='module')
def environment() -> dict:
    paths = [str(TOOLS.parent), str(TOOLS.parent / 'tests')]
    return dict(os.environ, PYTHON=sys.executable, PYTHONPATH=os.pathsep.join(paths), CUDA_VISIBLE_DEVICES='',
                OMP_NUM_THREADS='1')


@pytest.fixture(scope='module')
def trained(tiny_clip, environment, tmp_path_factory) -> tuple[Path, Path]:
    """Config and best checkpoint of a run of tools/dist_train.sh in two processes."""
    folder = tmp_path_factory.mktemp('dist')
    config = write_config(folder, tiny_clip)
    run = subprocess.run(['bash', TOOLS / 'dist_train.sh', config, '2', '--work-dir', folder / 'work'],
                         env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert 'tensors are bit-identical to before training' in run.stdout
    return config, folder / 'work' / 'best.pth'


@pytest.mark.slow
def test_sharded_evaluation_equals_that_of_one_process(trained, environment, tmp_path):
    config, checkpoint = trained
    command = {  # The test set's 7 items do not divide by 2.
        'one': [sys.executable, TOOLS / 'test.py', config, checkpoint],
        'two': ['bash', TOOLS / 'dist_test.sh', config, checkpoint, '2'],
        'zero_shot': ['bash', TOOLS / 'dist_test.sh', config, '2']}
    metrics = {}
    for name, words in command.items():
        out = tmp_path / f'{name}.json'
        subprocess.run([*words, '--work-dir', tmp_path / name, '--out', out], env=environment, check=True,
                       capture_output=True, timeout=300)
        metrics[name] = json.loads(out.read_text())
    assert metrics['one'] == metrics['two']
    assert metrics['two'] != metrics['zero_shot']


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
