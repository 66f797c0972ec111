"""What is wrong on the command line is said before a model is loaded."""
from pathlib import Path

import pytest
from filelock import FileLock
from helpers.galleries import index, write_folder
from helpers.tiny_run import write_config

from mmcma import apis
from mmcma.cli.main import main
from mmcma.search import gallery as opening
from mmcma.search import lock


@pytest.fixture(scope='module')
def made(tmp_path_factory) -> tuple[Path, Path]:
    """A folder of media and its gallery."""
    folder = tmp_path_factory.mktemp('made')
    index(write_folder(folder / 'media', 2, 0), folder / 'gallery')
    return folder / 'media', folder / 'gallery'


@pytest.fixture
def refused(made, monkeypatch, capsys, tmp_path):
    """Calls a command that must not come to a model, with ``{0}``, ``{1}`` as made and ``{2}`` a new folder."""

    def load(*_, **__):
        raise AssertionError('a model was loaded')
    for user in (apis, opening):
        monkeypatch.setattr(user, 'init_model', load)
    monkeypatch.setattr(lock, 'PATIENCE', 0)

    def call(*args: str) -> str:
        with pytest.raises(SystemExit) as end:
            main([arg.format(*made, tmp_path) for arg in args])
        errors = capsys.readouterr().err.strip()
        assert end.value.code == 2 and errors.startswith('error: ') and '\n' not in errors
        return errors
    return call


SEARCH, INDEX = ('search', '{1}', 'a dog'), ('index', '{0}', '--model', 'tiny', '--out')


@pytest.mark.parametrize('args, message', [
    ((*SEARCH, '-k', '0'), '-k 0 must be at least 1'),
    ((*SEARCH, '--rerank', '-1'), '--rerank -1 must be at least 0'),
    ((*SEARCH, '--seconds', '5', '2'), '--seconds 5 2 is no length'),
    ((*SEARCH, '--html', '{2}/absent/a.html'), 'cannot be written'),
    (('search', '{1}', '  '), 'the query is empty'),
    (('search', '{1}', '--image', '{2}/absent.png'), 'absent.png: no such file'),
    (('search', '{0}', 'a dog'), 'is no gallery'),
    ((*INDEX, '{2}/new', '--batch-size', '0'), '--batch-size 0 must be at least 1'),
    ((*INDEX, '{2}/new', '--workers', '0'), '--workers 0 must be at least 1'),
    ((*INDEX, '{2}/new', '--timeout', 'nan'), '--timeout nan must be'),
    (('index', '{2}/absent', '--model', 'tiny', '--out', '{2}/new'), 'is no folder'),
    (('index', '{0}/images', '--model', 'tiny', '--out', '{1}'), 'was made of the folder'),
    (('serve', '{1}', '--host', '0.0.0.0'), '--token'),
    (('serve', '{1}', '--max-upload', '0'), '--max-upload 0 must be at least 1'),
    (('serve', '{0}', '--port', '0'), 'is no gallery'),
    (('export', 'a.py', 'b.pth', '{0}'), 'exists and is not empty'),
    (('export', 'a.py', 'b.pth', '{2}/new', '--report', '{2}/absent.json'), 'absent.json: no such file'),
])
def test_wrong_arguments(refused, tmp_path, args, message):
    assert message in refused(*args)
    assert not (tmp_path / 'new').exists()


def test_a_gallery_that_is_being_written(refused, made):
    with FileLock(made[1] / 'lock'):
        assert 'is being written by another process' in refused(*INDEX, '{1}')


@pytest.mark.parametrize('args, message', [
    (('test', '{2}/tiny.py', '--out', '{2}/absent/m.json'), '--out'),
    (('test', '{2}/tiny.py', '--cfg-options', 'load_from=x.pth'), 'say CHECKPOINT after the config'),
    (('test', '{2}/tiny.py', '--cfg-options', 'launcher=slurm'), 'say --launcher'),
    (('train', '{2}/tiny.py', '--cfg-options', 'launcher=slurm'), 'say --launcher'),
    (('train', '{2}/tiny.py', '--work-dir', '{2}/tiny.py'), 'is a file'),
    (('train', '{2}/tiny.py', '--work-dir', '{2}/tiny.py/new'), 'Not a directory'),
    (('test', '{2}/tiny.py', '--show-dir', '{2}/tiny.py'), 'tiny.py can be no folder'),
    (('features', '{2}/tiny.py', '--out', '{2}/tiny.py/new'), 'tiny.py is a file'),
    (('export', '{2}/tiny.py', 'b.pth', '{2}/tiny.py/new'), 'tiny.py is a file'),
])
def test_wrong_arguments_of_runs(refused, tmp_path, tiny_clip, args, message):
    write_config(tmp_path, tiny_clip)
    assert message in refused(*args)


@pytest.mark.parametrize('device', ['gpu', 'cuda:99', 'meta:x'])
def test_a_device_that_is_not_there(device):
    from mmcma.apis.model import init_model
    from mmcma.utils.errors import ConfigError
    with pytest.raises(ConfigError, match=f"device '{device}' cannot be had here"):
        init_model('no model', device=device)
