"""What mmengine's runner reads as a checkpoint."""
import os
from pathlib import Path

import pytest
import torch
from mmengine.runner import CheckpointLoader

import mmcma.engine  # noqa: F401
from mmcma.utils.errors import WeightsError
from mmcma.utils.plain_loading import UntrustedError


class Makes:
    """Unpickled, a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


def test_a_file_that_brings_code_is_refused(tmp_path):
    torch.save(dict(state_dict={}, extra=Makes(tmp_path / 'it_ran')), tmp_path / 'a.pth')
    with pytest.raises(UntrustedError, match='--trust-checkpoint'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'))
    assert not (tmp_path / 'it_ran').exists()


def test_the_runner_gets_no_program_to_run(tmp_path):
    """mmengine's ``Runner.resume`` runs the text that checkpoints of its first versions have in ``meta.config``."""
    torch.save(dict(state_dict={}, meta=dict(iter=3, config='import os')), tmp_path / 'a.pth')
    assert CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'))['meta'] == dict(iter=3)


@pytest.mark.parametrize('address', ['s3://bucket/a.pth', 'open-mmlab://resnet50', 'torchvision://resnet50'])
def test_places_that_mmengine_reads_without_restriction_are_closed(address):
    with pytest.raises(WeightsError, match='fetch it first'):
        CheckpointLoader.load_checkpoint(address)


def test_a_file_of_the_web_is_read_alike(tmp_path, monkeypatch):
    torch.save(dict(state_dict={}, extra=Makes(tmp_path / 'it_ran')), tmp_path / 'a.pth')
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    monkeypatch.setattr(torch.hub, 'download_url_to_file',
                        lambda url, to, progress: Path(to).write_bytes((tmp_path / 'a.pth').read_bytes()))
    with pytest.raises(UntrustedError, match='--trust-checkpoint'):
        CheckpointLoader.load_checkpoint('https://example.org/a.pth')
    assert not (tmp_path / 'it_ran').exists()
