"""The command ``mmcma``."""
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.galleries import StandIn, index, write_folder

from mmcma import apis
from mmcma.cli.main import main
from mmcma.search import gallery
from mmcma.search.manifest import read_manifest


@pytest.fixture
def mmcma(monkeypatch, capsys):
    """Calls it with a stand-in for the model; returns exit code, output and errors."""
    for user in (apis, gallery):
        monkeypatch.setattr(user, 'init_model', lambda *_: None)
        monkeypatch.setattr(user, 'RetrievalInferencer', lambda model, **_: StandIn())

    def call(*args) -> tuple[int, str, str]:
        code = 0
        try:
            main([str(arg) for arg in args])
        except SystemExit as end:
            code = end.code
        return (code, *capsys.readouterr())
    return call


def test_help_imports_nothing_heavy():
    code = 'from mmcma.cli.main import make_parser; make_parser().format_help(); import sys; print(*sys.modules)'
    imported = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.split()
    assert not {'torch', 'transformers', 'mmengine', 'lance', 'fastapi', 'numpy'} & set(imported)


def test_every_command_has_a_line_and_examples(mmcma):
    code, overview, _ = mmcma('--help')
    assert code == 0
    for name in ('index', 'search'):
        code, text, _ = mmcma(name, '--help')
        assert code == 0 and name in overview and text.count(f'  mmcma {name} ') >= 2


def test_index_and_search(mmcma, tmp_path):
    folder, gallery = write_folder(tmp_path / 'media'), tmp_path / 'gallery'
    (folder / 'broken.png').touch()
    code, output, errors = mmcma('index', folder, '--model', 'stand-in', '--out', gallery)
    assert code == 0 and '7 items, 7 moments; 7 added, 0 updated, 0 deleted, 0 unchanged' in output
    assert '1 files could not be read, 0 not in all their moments:\n  broken.png: ' in errors and '8/8 files' in errors
    assert '7 unchanged' in mmcma('index', folder, '--model', 'stand-in', '--out', gallery)[1]
    code, output, _ = mmcma('search', gallery, '40', '-k', 2, '--html', tmp_path / 'page.html')
    lines = output.splitlines()
    assert code == 0 and len(lines) == 2 and lines[0].endswith('2.png') and lines[0].split()[:2] == ['1', '1.000']
    assert '2.png' in (tmp_path / 'page.html').read_text()
    hits = json.loads(mmcma('search', gallery, '100', '-k', 3, '--json')[1])
    fields = {'path', 'score', 'start', 'end', 'frame_weights', 'frame_times', 'best_moment', 'mark', 'duration'}
    assert [set(hit) for hit in hits] == [fields] * 3
    code, output, _ = mmcma('search', gallery, '--image', folder / 'images' / '3.png', '-k', 1)
    assert code == 0 and output.split()[2].endswith('3.png')
    assert 'best at 0.0 s' in mmcma('search', gallery, '100', '--folder', '/', '--seconds', 1, 2)[1]
    assert mmcma('search', gallery, '100', '--folder', 'absent')[1] == 'nothing found\n'


def test_an_unfinished_gallery_says_so(mmcma, tmp_path):
    gallery = tmp_path / 'gallery'
    mmcma('index', write_folder(tmp_path / 'media', 2, 0), '--model', 'stand-in', '--out', gallery)
    replace(read_manifest(str(gallery)), complete=False).write(str(gallery))
    code, output, errors = mmcma('search', gallery, '0')
    assert code == 0 and output and 'is not complete: mmcma index goes on where it stopped' in errors


@pytest.mark.parametrize('args, message', [
    (('search', '{0}'), '0 queries: give a text'),
    (('search', '{0}', 'a dog', '--image', 'a.png'), '2 queries: give a text'),
    (('search', '{0}', 'a dog'), 'is no gallery'),
    (('index', '{0}', '--model', 'stand-in', '--out', '{0}/gallery'), 'holds no videos or images'),
    (('index', '{0}/absent', '--model', 'stand-in', '--out', '{0}/gallery'), 'is no folder')])
def test_errors_are_one_line(mmcma, tmp_path, args, message):
    code, output, errors = mmcma(*(arg.format(tmp_path) for arg in args))
    assert code == 2 and output == ''
    assert [line.startswith('error: ') and message in line for line in errors.strip().splitlines()][-1]
    assert not (tmp_path / 'gallery').exists()


def test_interrupted(mmcma, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt
    monkeypatch.setattr(apis, 'init_model', interrupt)
    folder = write_folder(tmp_path / 'media', 1, 0)
    code, out, errors = mmcma('index', folder, '--model', 'm', '--out', tmp_path / 'gallery')
    assert (code, out, errors) == (130, '', 'interrupted\n')


@pytest.fixture(scope='module')
def searched(tmp_path_factory) -> Path:
    """A gallery of five images and two videos."""
    base = tmp_path_factory.mktemp('searched')
    index(write_folder(base / 'media'), base / 'gallery')
    return base / 'gallery'


@pytest.mark.parametrize('args, first', [
    (('-k', '1', '40'), '2.png'), (('40', '-k', '1'), '2.png'), (('-k', '1', '--', '-40'), '.'),
    (('--', '-40'), '.'), (('-k', '1', '40', '--folder', './images'), '2.png'),
    (('-k', '1', '--folder', 'images/', '40'), '2.png'), (('40', '-k', '1', '--seconds', '0', 'inf'), '2.png'),
    (('100', '--seconds', '1.2', 'inf'), 'v1.mp4')])
def test_arguments_in_any_order(mmcma, searched, args, first):
    code, output, errors = mmcma('search', searched, *args)
    assert code == 0 and first in output.splitlines()[0] and errors == ''


def test_an_absolute_folder_of_the_gallery(mmcma, searched):
    root = read_manifest(str(searched)).root
    code, output, _ = mmcma('search', searched, '40', '--folder', f'{root}/images')
    assert code == 0 and len(output.splitlines()) == 5
    assert mmcma('search', searched, '40', '--folder', '../media')[0] == 2


@pytest.mark.parametrize('args, message', [
    (('40', '--seconds', '60', '5'), '--seconds 60 5 is no length'), (('40', '--seconds', 'nan', '5'), 'is no length'),
    (('40', '--rerank', '-5'), '--rerank -5'), (('40', '-k', '0'), '-k 0'), (('40', '--per-file', '0'), '--per-file 0'),
    (('a\udcff',), 'is not UTF-8'), (('40', '--html', '/'), '--html / is a folder'), (('a', 'b'), 'unrecognized')])
def test_wrong_arguments_of_a_search_are_one_line(mmcma, searched, args, message):
    code, output, errors = mmcma('search', searched, *args)
    assert code == 2 and output == '' and message in errors.splitlines()[-1]


@pytest.mark.parametrize('args, message', [
    (('--timeout', '0'), '--timeout 0'), (('--workers', '-3'), '--workers -3'), (('--timeout', 'nan'), '--timeout nan'),
    (('--out', '{0}/images/0.png'), 'images/0.png is no folder')])
def test_wrong_arguments_of_indexing_are_one_line(mmcma, searched, args, message):
    root = read_manifest(str(searched)).root
    code, output, errors = mmcma('index', root, '--model', 'm', '--out', searched, *(arg.format(root) for arg in args))
    assert code == 2 and output == '' and message in errors and errors.count('\n') == 1


def test_other_files_are_counted(mmcma, tmp_path):
    folder = write_folder(tmp_path / 'media', 1, 0)
    for name in ('a.txt', 'b.txt', 'c.PDF', 'Makefile'):
        (folder / name).touch()
    _, _, errors = mmcma('index', folder, '--model', 'm', '--out', tmp_path / 'gallery')
    assert '4 other files were skipped: 2 .txt, 1 without a suffix, 1 .pdf\n' in errors


def test_a_terminal_of_ascii_and_a_reader_that_has_gone(tmp_path):
    code = ('import sys\nfrom mmcma.cli.arguments import run_tool\nfrom mmcma.cli.search import show\n'
            'from mmcma.search.hit import Hit\n'
            'run_tool(lambda: show([Hit("/\u00e9\\n\\udcff.mp4", 0.5, 0.0, 4.0, [], [])] * int(sys.argv[1])))')
    call = [sys.executable, '-c', code]
    done = subprocess.run([*call, '1'], capture_output=True, text=True, env=dict(os.environ, PYTHONIOENCODING='ascii'))
    assert done.returncode == 0 and r'/\xe9\n\udcff.mp4' in done.stdout and done.stderr == ''
    with subprocess.Popen([*call, '100000'], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b'' and process.wait() == 141
