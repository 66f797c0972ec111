"""Whose code a command runs: own parts by --import, old checkpoints by --trust-checkpoint."""
import json
import os
import sys

import pytest
import torch
from helpers.checkpoints import retrieval_config, trained_checkpoint
from helpers.commands import run
from helpers.media import write_image

from mmcma.apis import export_adapter, init_model
from mmcma.checkpoints.checkpoint_file import read_checkpoint
from mmcma.cli.main import COMMANDS, make_parser
from mmcma.models.trained_state import trained_state
from mmcma.registry import MODELS

MODULE = """
from mmcma.models import CrossModalAdapter
from mmcma.registry import MODELS

@MODELS.register_module()
class OwnNeck(CrossModalAdapter):
    pass
"""


def forget() -> None:
    sys.modules.pop('own_neck', None)
    MODELS.module_dict.pop('OwnNeck', None)


@pytest.fixture
def own(tiny_clip, tmp_path, monkeypatch):
    """A folder that was exported with a neck of one's own, whose module is there and not imported, and its tensors."""
    (tmp_path / 'own_neck.py').write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    import own_neck  # noqa: F401
    config = retrieval_config(tiny_clip, neck=dict(type='OwnNeck', bottleneck_dim=4, shared_dim=8))
    model = init_model(trained_checkpoint(tmp_path, config), device='cpu')
    export_adapter(model, tmp_path / 'exported')
    forget()
    yield tmp_path / 'exported', trained_state(model)
    forget()


def test_a_folder_with_own_parts_says_which_module_it_requires_and_opens_with_it(own, capfd, tmp_path):
    folder, state = own
    assert json.loads((folder / 'adapter_config.json').read_text())['requires'] == ['own_neck']
    assert run('info', folder) == 0
    assert 'own_neck (not imported: --import own_neck)' in capfd.readouterr().out
    write_image(tmp_path / 'images' / 'a.png')
    assert run('index', tmp_path / 'images', '--model', folder, '--out', tmp_path / 'gallery') == 2
    assert "model.neck.type='OwnNeck' is no part of mmcma" in (error := capfd.readouterr().err)
    assert '--import own_neck' in error and 'own_neck' not in sys.modules
    assert run('info', folder, '--import', 'own_neck') == 0
    assert 'requires         own_neck\n' in capfd.readouterr().out
    read = trained_state(init_model(folder, device='cpu'))
    assert read.keys() == state.keys() and all(torch.equal(read[name], state[name]) for name in state)


def test_what_a_folder_says_does_not_steer_the_terminal(own, capfd):
    path = own[0] / 'adapter_config.json'
    content = dict(json.loads(path.read_text()), requires=['own_neck', 'x; rm -rf .', 3, '\x1b[2J'])
    content['base_model_name_or_path'] = 'a\x1b[2Jb'
    path.write_text(json.dumps(content))
    assert run('info', own[0]) == 0
    said = capfd.readouterr().out
    assert 'a\\x1b[2Jb' in said and '\x1b' not in said
    assert 'requires         own_neck (not imported: --import own_neck)\n' in said


def test_a_checkpoint_with_own_parts_likewise(own, capfd):
    checkpoint = own[0].parent / 'best.pth'
    content = read_checkpoint(checkpoint)
    content['meta']['cfg'] += "custom_imports = dict(imports=['own_neck'])\n"  # as configs have it
    torch.save(content, checkpoint)
    assert run('info', checkpoint) == 0
    assert 'own_neck (not imported: --import own_neck)' in capfd.readouterr().out
    assert 'own_neck' not in sys.modules
    assert run('info', checkpoint, '--import', 'own_neck') == 0


def test_a_module_that_is_not_there_is_one_line(capfd):
    assert run('info', 'tiny', '--import', 'no_such_module') == 2
    line, = capfd.readouterr().err.splitlines()
    assert "--import no_such_module: ModuleNotFoundError: No module named 'no_such_module'" in line


@pytest.mark.parametrize('command', COMMANDS)
def test_every_command_takes_both_options(command, capsys):
    with pytest.raises(SystemExit):
        make_parser().parse_args([command, '--help'])
    said = capsys.readouterr().out
    assert '--import MODULE' in said and '--trust-checkpoint' in said


class Brings:
    """Unpickled, a folder."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


def test_an_old_checkpoint_that_needs_more_is_read_with_the_flag(tiny_clip, tmp_path, capfd):
    path, mark = trained_checkpoint(tmp_path, retrieval_config(tiny_clip)), tmp_path / 'it_ran'
    torch.save(dict(read_checkpoint(path), extra=Brings(mark)), path)
    assert run('info', path) == 2
    line, = (line for line in capfd.readouterr().err.splitlines() if line.startswith('error:'))
    assert '--trust-checkpoint' in line and not mark.exists()
    assert run('info', path, '--trust-checkpoint') == 0
    assert 'CrossModalAdapter' in capfd.readouterr().out and mark.is_dir()
    assert run('info', path) == 2  # the trust ends with its command
