"""The command ``mmcma serve``."""
import asyncio
import shutil
import socket
import sys
import tempfile
from dataclasses import replace

import httpx
import pytest
import uvicorn
from helpers.galleries import StandIn, index, write_folder

from mmcma.cli.main import main
from mmcma.search import gallery as opening
from mmcma.search.manifest import read_manifest


@pytest.fixture
def serve(monkeypatch, capsys, tmp_path):
    """Calls it with a stand-in for the model and a server that ends at once; returns exit code, output and errors."""
    monkeypatch.setattr(opening, 'init_model', lambda *_: None)
    monkeypatch.setattr(opening, 'RetrievalInferencer', lambda model, **_: StandIn())
    monkeypatch.setattr(uvicorn.Server, 'run', lambda self, sockets: None)
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))

    def call(*args) -> tuple[int, str, str]:
        code = 0
        try:
            main(['serve', *map(str, args)])
        except SystemExit as end:
            code = end.code
        return (code, *capsys.readouterr())
    return call


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp('made')
    index(write_folder(folder / 'media', 2, 0), folder / 'gallery')
    return folder / 'gallery'


@pytest.fixture
def gallery(made, tmp_path):
    return shutil.copytree(made, tmp_path / 'gallery')


def test_help(serve):
    code, text, _ = serve('--help')
    assert code == 0 and text.count('  mmcma serve ') >= 2 and '127.0.0.1' in text


def test_it_says_where_it_is_and_leaves_nothing_behind(serve, gallery, tmp_path):
    code, output, errors = serve(gallery, '--port', 0)
    assert code == 0 and errors == '' and f'{gallery}: http://127.0.0.1:' in output
    assert not list(tmp_path.glob('mmcma-serve-*'))


@pytest.fixture
def answers(monkeypatch):
    """What the server of a command would answer: ``(path, headers)`` are asked before it ends, by its first name."""
    asked, given = [], []

    def run(server, sockets):
        async def ask():
            transport = httpx.ASGITransport(server.config.app)
            async with httpx.AsyncClient(transport=transport, base_url='http://localhost') as client:
                for path, headers in asked:
                    given.append((await client.get(path, headers=headers)).status_code)
        asyncio.run(ask())
        raise KeyboardInterrupt
    monkeypatch.setattr(uvicorn.Server, 'run', run)
    return asked, given


def test_it_answers_until_it_is_interrupted(serve, gallery, answers):
    asked, given = answers
    asked += [('/api/items/media?path=images/1.png', {}), ('/api/search?q=20', {}), ('/', dict(host='somewhere.else'))]
    assert serve(gallery, '--port', 0)[0] == 0 and given == [200, 200, 400]


@pytest.mark.parametrize('where', ['option', 'environment'])
def test_the_token(serve, gallery, answers, monkeypatch, where):
    asked, given = answers
    asked += [('/api/health', {}), ('/api/health', dict(authorization='Bearer a-secret', host='its.name')), ('/', {})]
    if where == 'environment':
        monkeypatch.setenv('MMCMA_TOKEN', 'a-secret')
    code, output, errors = serve(gallery, '--port', 0, '--host', '0.0.0.0',
                                 *(['--token', 'a-secret'] if where == 'option' else []))
    assert (code, errors) == (0, '') and given == [401, 200, 200] and 'a-secret' not in output


def test_a_gallery_for_everyone_is_said_in_so_many_words(serve, gallery, answers, monkeypatch):
    monkeypatch.setenv('MMCMA_TOKEN', 'a-secret')
    asked, given = answers
    asked += [('/api/health', dict(host='its.name'))]
    code, _, errors = serve(gallery, '--port', 0, '--host', '0.0.0.0', '--no-token')
    assert errors == 'warning: everyone who reaches 0.0.0.0 can search this gallery, see its files and upload\n'
    assert code == 0 and given == [200]


@pytest.mark.parametrize('host, code', [
    ('127.0.0.1', 0), ('127.0.0.2', 0), ('localhost', 0), ('::1', 0), ('0.0.0.0', 2)])
def test_only_this_machine_needs_no_token(serve, gallery, host, code):
    answer = serve(gallery, '--port', 0, '--host', host)
    assert answer[0] == code
    if code:
        assert f'--host {host} needs --token TOKEN (or MMCMA_TOKEN), or --no-token' in one_line(answer)


def test_an_unfinished_gallery_says_so(serve, gallery):
    replace(read_manifest(str(gallery)), complete=False).write(str(gallery))
    code, _, errors = serve(gallery, '--port', 0)
    assert code == 0 and 'is not complete: mmcma index goes on where it stopped' in errors


def one_line(answer: tuple[int, str, str]) -> str:
    code, output, errors = answer
    assert code == 2 and output == '' and errors.startswith('error: ') and errors.count('\n') == 1
    return errors


def test_a_port_that_is_taken(serve, gallery):
    with socket.create_server(('127.0.0.1', 0)) as other:
        port = other.getsockname()[1]
        assert f'port {port} of 127.0.0.1 is taken; choose another with --port' in one_line(
            serve(gallery, '--port', port))


@pytest.mark.parametrize('args, message', [
    (('--port', 99999), 'cannot answer at 127.0.0.1, port 99999'),
    (('--host', '256.1.1.1', '--no-token'), 'cannot answer at 256.1.1.1'),
    (('--max-upload', 0), '--max-upload 0'),
    (('--host', 'no.such.host.invalid', '--no-token'), 'cannot answer at no.such'),
    (('--token', ''), '--token must be of ASCII'), (('--token', 'two words'), 'without blanks'),
    (('--token', 'tökén'), '--token must be of ASCII')])
def test_wrong_arguments(serve, gallery, args, message):
    assert message in one_line(serve(gallery, '--port', 0, *args))


def test_no_gallery_a_damaged_one_and_that_of_another_model(serve, gallery, tmp_path, monkeypatch):
    assert 'is no gallery' in one_line(serve(tmp_path, '--port', 0))
    monkeypatch.setattr(opening, 'RetrievalInferencer', lambda model, **_: StandIn('e' * 32))
    assert 'was made with the model' in one_line(serve(gallery, '--port', 0))
    (gallery / 'gallery.lance' / '_versions').rename(gallery / 'versions')
    (gallery / 'gallery.json').write_text('{}')
    assert 'earlier version' in one_line(serve(gallery, '--port', 0))


def test_without_fastapi(serve, gallery, monkeypatch):
    monkeypatch.setitem(sys.modules, 'fastapi', None)
    assert "pip install 'mmcma[search]'" in one_line(serve(gallery))
