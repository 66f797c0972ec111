"""What the machine ends a run with is one line, leaves nothing half-written, and is resumed from."""
import errno
import os
import signal
from pathlib import Path

import pytest
from helpers.commands import run
from helpers.tiny_run import NoiseClips, write_config

from mmcma.engine.interruptions import InterruptedRunError, machine_errors
from mmcma.registry import DATASETS


@DATASETS.register_module()
class KillsItsWorker(NoiseClips):
    """Clips of which the third ends the process that reads it, while a file ``killer`` is there."""

    def __getitem__(self, index: int) -> dict:
        if index == 3 and Path('killer').exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


def errors(capfd) -> list[str]:
    return [line for line in capfd.readouterr().err.splitlines() if line.startswith('error:')]


def test_a_full_disk(tiny_clip, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    config = write_config(tmp_path, tiny_clip)
    replace = os.replace

    def full(source, target):
        if Path(target).name == 'epoch_2.pth':
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        replace(source, target)
    with monkeypatch.context() as disk:
        disk.setattr(os, 'replace', full)
        assert run('train', config, '--work-dir', 'a') == 2
    line, = errors(capfd)
    assert 'epoch_2.pth: No space left on device: make room and go on with --resume (epoch_1.pth' in line
    assert not list(Path('a').glob('.*')) and not Path('a/epoch_2.pth').exists()
    assert run('train', config, '--work-dir', 'a', '--resume') == 0
    assert Path('a/epoch_2.pth').is_file()


def test_a_killed_worker(tiny_clip, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    extra = "train_dataloader.update(num_workers=1)\ntrain_dataloader['dataset'].update(type='KillsItsWorker')"
    config = write_config(tmp_path, tiny_clip, epochs=1, extra=extra)
    Path('killer').touch()
    assert run('train', config, '--work-dir', 'a') == 2
    line, = errors(capfd)
    assert 'DataLoader worker' in line and 'died' in line and 'go on with --resume (no checkpoint' in line
    Path('killer').unlink()
    assert run('train', config, '--work-dir', 'a', '--resume') == 0


def test_other_errors_pass(tmp_path):
    for error in (OSError(errno.ENOENT, 'gone'), RuntimeError('a bug'), InterruptedRunError('said already')):
        with pytest.raises(type(error)) as raised, machine_errors(tmp_path):
            raise error
        assert raised.value is error


@pytest.mark.parametrize('options, part', [
    (['--seed', '-1'], 'randomness.seed=-1 (or --seed) must be a whole number from 0'),
    (['--cfg-options', 'train_cfg.max_epochs=0'], 'train_cfg.max_epochs=0 must be a whole number, at least 1'),
    (['--cfg-options', 'optim_wrapper.type=AmpOptimWrapper'], "model.precision='bf16'"),
    (['--cfg-options', 'visualizer.vis_backends.0.type=ClearMLVisBackend'], 'vis_backends.0.type='),
])
def test_settings_that_cannot_work(tiny_clip, tmp_path, monkeypatch, capfd, options, part):
    monkeypatch.chdir(tmp_path)
    assert run('train', write_config(tmp_path, tiny_clip), '--work-dir', 'a', *options) == 2
    line, = errors(capfd)
    assert part in line and 'tiny.py' in line
    assert not Path('a').exists()
