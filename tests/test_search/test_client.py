"""The client of a running service."""
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from helpers.galleries import StandIn, index, write_folder
from helpers.media import write_image
from helpers.server import live

from mmcma.cli.main import main
from mmcma.search import Client, Gallery
from mmcma.utils.errors import ConfigError, DataError

TOKEN = 'a-secret'


@pytest.fixture(scope='module')
def gallery(tmp_path_factory):
    base = tmp_path_factory.mktemp('client')
    index(write_folder(base / 'root'), base / 'gallery')
    return Gallery(base / 'gallery', StandIn())


@pytest.fixture(scope='module')
def url(gallery, tmp_path_factory):
    with live(gallery, tmp_path_factory.mktemp('service'), token=TOKEN) as address:
        yield address


def expected(gallery, hits) -> list:
    return [hit._replace(path=Path(hit.path).relative_to(gallery.root).as_posix()) for hit in hits]


def test_it_finds_what_the_gallery_finds(url, gallery, tmp_path):
    client = Client(url + '/', TOKEN)
    assert client.search('100') == expected(gallery, gallery.search_text('100'))
    asked = dict(k=2, rerank=5, folder='images', seconds=(0, 9), per_file=1)
    assert client.search('40', **asked) == expected(gallery, gallery.search_text('40', **asked))
    assert client.search('100', k=3, offset=2) == expected(gallery, gallery.search_text('100', 5)[2:])
    image = write_image(tmp_path / 'über "x"\n.png', grey=61)
    assert client.search(image, k=2) == expected(gallery, gallery.search_path(image, 2))
    assert client.health() == dict(status='ok', name='root', model='stand-in', files=7, max_upload=100_000_000)


def test_the_command_asks_it(url, gallery, capsys, monkeypatch, tmp_path):
    main(['search', '100', '-k', '2', '--server', url, '--token', TOKEN])
    lines = capsys.readouterr().out.splitlines()
    best = expected(gallery, gallery.search_text('100', 2))
    assert [line.split()[1:3] for line in lines] == [[f'{hit.score:.3f}', hit.path] for hit in best]
    monkeypatch.setenv('MMCMA_TOKEN', TOKEN)
    main(['search', '--server', url, '--image', str(write_image(tmp_path / 'a.png', grey=40)), '--json', '-k', '1'])
    assert json.loads(capsys.readouterr().out)[0]['path'] == 'images/2.png'


@pytest.mark.parametrize('args, says', [
    (['a', 'b', '--server', 'http://x'], 'give the gallery a or --server http://x, not both'),
    (['100', '--server', 'http://x', '--html', 'page.html'], '--html needs the gallery itself'),
    (['100', '--server', 'http://x', '--model', 'tiny'], '--model needs the gallery itself'),
    (['100', '--server', 'x:1'], "'x:1' is no address of a service"),
    (['100', '--server', 'http://127.0.0.1:1'], 'http://127.0.0.1:1 does not answer as mmcma serve does'),
    (['--server', 'http://x'], '0 queries'), (['--server', 'http://x', ' '], 'the query is empty'),
    ([], 'give a gallery')])
def test_commands_that_are_refused(args, says, capsys):
    with pytest.raises(SystemExit, match='2'):
        main(['search', *args])
    errors = capsys.readouterr().err
    assert errors.startswith('error: ') and says in errors and errors.count('\n') == 1


def test_neither_it_nor_the_command_imports_what_is_heavy():
    code = ('import sys; from mmcma.search import Client, Hit; from mmcma.cli.main import main\n'
            'try: main(["search", "x", "--server", "http://127.0.0.1:1"])\n'
            'except SystemExit: print(*sys.modules)')
    imported = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.split()
    assert not {'torch', 'numpy', 'transformers', 'mmengine', 'lance', 'pyarrow', 'fastapi'} & set(imported)
    assert 'mmcma.search.client' in imported


def test_what_the_service_refuses(url, tmp_path):
    for token in (None, 'wrong'):
        with pytest.raises(ConfigError, match=f'{url}: the token is missing or wrong'):
            Client(url, token).search('100')
    client = Client(url, TOKEN)
    (tmp_path / 'a.txt').write_text('text')
    for query, settings, says in (
            ('word ' * 9, {}, 'shorten it to about'), ('1', dict(k=0), 'k: '), ('', {}, 'one query'),
            ('1', dict(seconds=(5, 1)), 'no length'), (tmp_path / 'a.txt', {}, 'no video or image'),
            (tmp_path / 'absent.png', {}, 'absent.png: cannot be read')):
        with pytest.raises(ConfigError, match=says):
            client.search(query, **settings)


@pytest.mark.parametrize('address', [
    '', 'localhost:7860', 'file:///etc/passwd', 'http://', 'http://x:port', 'http://[::1'])
def test_no_address(address):
    with pytest.raises(ConfigError, match='is no address of a service'):
        Client(address)


@pytest.mark.parametrize('code, headers, body', [
    (200, {}, b'no JSON'), (200, {}, b'[]'), (200, {}, b'{}'), (200, {}, b'{"hits": [{}]}'), (500, {}, b'<html>'),
    (302, {'Location': 'http://127.0.0.1:1/'}, b''),
    (200, {'Content-Length': '99'}, b'{')])
def test_another_server(code, headers, body):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(code)
            for header in headers.items():
                self.send_header(*header)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass
    server = HTTPServer(('127.0.0.1', 0), Handler)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    with pytest.raises(DataError, match='does not answer as mmcma serve does'):
        Client(f'http://127.0.0.1:{server.server_port}').search('100')
    thread.join()
    server.server_close()
