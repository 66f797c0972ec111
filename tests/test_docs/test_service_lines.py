"""Every line of docs/searching.md that asks a service."""
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.galleries import StandIn, index
from helpers.media import write_image, write_video
from helpers.server import live

from mmcma.cli.main import main
from mmcma.search import Gallery

SECTION = re.search(r'\n## Service\n(.*?)\n## ', (Path(__file__).parents[2] / 'docs' / 'searching.md').read_text(),
                    re.DOTALL)[1]
ADDRESS = 'http://127.0.0.1:7860'
CALLS = re.findall(r'^    (curl .*)$', SECTION, re.MULTILINE)


class AnyWords(StandIn):
    """Takes every text for a grey."""

    def encode_text(self, texts):
        return super().encode_text(['100'] * len(texts))


@pytest.fixture(scope='module')
def url(tmp_path_factory):
    base = tmp_path_factory.mktemp('page')
    write_video(base / 'root' / 'dog.mp4')
    write_video(base / 'root' / 'holiday' / 'cook.mp4', num_frames=80)
    for number in range(6):
        write_image(base / 'root' / f'{number}.png')
    index(base / 'root', base / 'gallery')
    (base / 'service').mkdir()
    with live(Gallery(base / 'gallery', AnyWords()), base / 'service') as address:
        yield address


@pytest.fixture
def folder(tmp_path, monkeypatch):
    write_image(tmp_path / 'dog.jpg')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.skipif(shutil.which('curl') is None, reason='curl is not installed')
@pytest.mark.parametrize('line', CALLS)
def test_curl(line, url, folder):
    answer = subprocess.run(['curl', '-sS', '--fail', *shlex.split(line.replace(ADDRESS, url))[1:]],
                            capture_output=True)
    assert answer.returncode == 0, answer.stderr
    if '/api/search' in line:
        hits = json.loads(answer.stdout)['hits']
        assert hits and ('folder=holiday' not in line or [hit['path'] for hit in hits] == ['holiday/cook.mp4'])
    if ' -o ' in line:
        assert (folder / line.split()[-1]).stat().st_size == 100 if 'Range' in line else (folder / line.split()[-1])


def test_every_call_of_the_api_has_a_line():
    named = re.findall(r'^\| `(?:GET|POST) (/api/\S+)`', SECTION, re.MULTILINE)
    assert len(named) == 8 and all(any(f'{ADDRESS}{path}' in line for line in CALLS) for path in named)


def test_the_shell_and_python(url, folder, capsys):
    command, = re.findall(r'^    mmcma (search .*--server.*)$', SECTION, re.MULTILINE)
    main(shlex.split(command.replace(ADDRESS, url)))
    code, = re.findall(r'```python\n(.*?)```', SECTION, re.DOTALL)
    names: dict = {}
    exec(code.replace(ADDRESS, url), names)
    assert len(capsys.readouterr().out.splitlines()) == 10 and len(names['hits']) == 8
