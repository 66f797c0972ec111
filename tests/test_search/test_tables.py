"""Calls of Lance that are interrupted, and galleries that may not be written."""
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.galleries import StandIn, contents, index, write_folder

from mmcma.search import Gallery
from mmcma.search.tables import one_line_errors
from mmcma.utils.errors import DataError

TESTS = Path(__file__).parents[1]
SEARCHES_UNTIL_INTERRUPTED = """
import sys
from mmcma.cli.arguments import run_tool
from helpers.galleries import StandIn
from mmcma.search import Gallery
gallery = Gallery(sys.argv[1], StandIn())
def search():
    print('searching', flush=True)
    while True:
        gallery.search_text('100', k=5)
run_tool(search)
"""
SEARCHES_AND_INDEXES = """
import json, sys
from helpers.galleries import StandIn, index
from mmcma.search import Gallery
from mmcma.utils.errors import DataError
print(json.dumps([hit.path for hit in Gallery(sys.argv[2], StandIn()).search_text('100', k=5)]))
try:
    index(sys.argv[1], sys.argv[2])
except DataError as error:
    print(error)
"""


@pytest.fixture(scope='module')
def made(tmp_path_factory) -> tuple[Path, Path]:
    """A folder and its gallery."""
    base = tmp_path_factory.mktemp('made')
    index(write_folder(base / 'media'), base / 'gallery')
    return base / 'media', base / 'gallery'


def started(script: str, *arguments: Path, prefix: tuple[str, ...] = ()) -> subprocess.Popen:
    pipe, path = subprocess.PIPE, os.pathsep.join([str(TESTS), str(TESTS.parent)])
    # A shell's background job ignores the signal, and its children do.
    return subprocess.Popen([*prefix, sys.executable, '-c', script, *arguments], stdout=pipe, stderr=pipe, text=True,
                            env=dict(os.environ, PYTHONPATH=path),
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))


@pytest.mark.slow
def test_an_interrupted_search_is_one_line_and_exit_code_130(made):
    process = started(SEARCHES_UNTIL_INTERRUPTED, made[1])
    assert process.stdout.readline() == 'searching\n'
    process.send_signal(signal.SIGINT)
    assert process.communicate() == ('', 'interrupted\n') and process.returncode == 130


def test_an_interruption_that_lance_passes_on_is_no_damage():
    with pytest.raises(KeyboardInterrupt), one_line_errors('a.lance', 'It is damaged'):
        raise OSError('External error: KeyboardInterrupt: ')
    with pytest.raises(DataError, match='a.lance: no such thing. It is damaged'), \
            one_line_errors('a.lance', 'It is damaged'):
        raise OSError('no such thing')


@pytest.mark.slow
@pytest.mark.skipif(os.name != 'posix', reason='modes of files')
def test_a_gallery_that_may_not_be_written(made, tmp_path):
    """It is searched as ever; indexing says so in one line, and changes nothing."""
    folder, gallery = made[0], shutil.copytree(made[1], tmp_path / 'gallery')
    (gallery / 'lock').unlink()
    places = [gallery, *gallery.rglob('*')]
    for place in places:
        place.chmod(0o555 if place.is_dir() else 0o444)
    # Modes do not bind root, unless it gives up that privilege.
    prefix = ('setpriv', '--bounding-set=-dac_override', '--') if os.geteuid() == 0 else ()
    if prefix and not shutil.which('setpriv'):
        pytest.skip('runs as root, and there is no setpriv')
    process = started(SEARCHES_AND_INDEXES, folder, gallery, prefix=prefix)
    output, errors = process.communicate()
    found, refusal = output.splitlines()
    assert json.loads(found) == [hit.path for hit in Gallery(made[1], StandIn()).search_text('100', k=5)]
    assert refusal.startswith(f'{gallery}: cannot be written (') and (process.returncode, errors) == (0, '')
    assert [gallery, *gallery.rglob('*')] == places
    for place in places:
        place.chmod(0o755)
    assert contents(gallery) == contents(made[1])
