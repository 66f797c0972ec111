"""tools/try_versions.py with a uv that only says what the real one would."""
import sys
from pathlib import Path

import pytest
import yaml
from helpers.imports import import_file

from mmcma.cli.arguments import run_tool

TOOL = Path(__file__).parents[2] / 'tools' / 'try_versions.py'
UV = r'''#!/bin/sh
case "$*" in
    *compile*apple*) echo "because of much"; echo "torch has no wheel" >&2; exit 1;;
    *compile*) printf 'numpy==2.1.0\ntorch==2.5.0\n';;
    *build*) touch "$4/mmcma.whl";;
    venv*) mkdir -p "$4/bin"; printf '#!/bin/sh\necho "$*" > ../trained; [ "$1" = train ]' > "$4/bin/mmcma"
           chmod +x "$4/bin/mmcma";;
    *install*lowest-direct*) echo 'numpy is too old' >&2; exit 1;;
    *freeze*) printf 'mmcma @ file:///mmcma.whl\ntorch==2.15.0\n';;
esac
'''


@pytest.fixture
def uv(tmp_path, monkeypatch):
    (tmp_path / 'uv').write_text(UV)
    (tmp_path / 'uv').chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}:/usr/bin:/bin')


def rows(monkeypatch, capsys, *arguments) -> tuple[int, list[list[str]], str]:
    """Exit code, cells of the table, and what went to stderr."""
    monkeypatch.setattr(sys, 'argv', ['try_versions.py', *arguments])
    with pytest.raises(SystemExit) as end:
        run_tool(import_file(TOOL).main)
    output, errors = capsys.readouterr()
    return end.value.code, [[cell.strip() for cell in line.strip('|').split('|')]
                            for line in output.splitlines()[2:]], errors


def test_a_failure_is_a_row_and_the_exit_code(uv, monkeypatch, capsys):
    code, table, _ = rows(monkeypatch, capsys, '--python', '3.13')
    assert code == 1 and table == [
        ['3.13', 'oldest', 'this one', '', '', '', 'uv pip: numpy is too old'],
        ['3.13', 'newest', 'this one', '2.15.0', '', '', 'works']]


def test_the_hosted_run_tries_the_same():
    tool = import_file(TOOL)
    jobs = yaml.safe_load((TOOL.parents[1] / '.github' / 'workflows' / 'test.yml').read_text())['jobs']
    matrix = jobs['versions']['strategy']['matrix']
    assert matrix['python'] == list(tool.PYTHONS) and matrix['versions'] == list(tool.RESOLUTIONS)


def test_wheels_for_other_machines(uv, monkeypatch, capsys):
    code, table, _ = rows(monkeypatch, capsys, '--python', '3.13', '--versions', 'newest', '--machines')
    assert code == 1 and {row[2]: (row[3], row[-1]) for row in table} == {
        'x86_64-unknown-linux-gnu': ('2.5.0', 'works'), 'aarch64-unknown-linux-gnu': ('2.5.0', 'works'),
        'aarch64-apple-darwin': ('', 'uv pip: torch has no wheel'), 'x86_64-pc-windows-msvc': ('2.5.0', 'works')}


@pytest.mark.parametrize('arguments, said', [
    ([], 'error: there is no uv: pip install uv\n'), (['--versions', 'middle'], "invalid choice: 'middle'"),
    (['--python', 'pypy'], 'error: --python pypy is no version')])
def test_wrong_input_is_exit_code_2(monkeypatch, capsys, arguments, said):
    monkeypatch.setenv('PATH', '')
    code, table, errors = rows(monkeypatch, capsys, *arguments)
    assert code == 2 and table == [] and said in errors
