"""The paper's figures beside measured ones, and the script that makes them."""
import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.imports import import_file

from mmcma.utils.errors import ConfigError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tool():
    return import_file(ROOT / 'tools' / 'analysis_tools' / 'paper_tables.py')


def report(present: int) -> str:
    results = {f'{way}/{key}': 12.34 for way in ('t2v', 'v2t') for key in ('R@1', 'R@5', 'R@10', 'MdR', 'MnR')}
    return json.dumps(dict(gallery=dict(present=present, expected=1004), parameters=dict(trainable=520_896),
                           results={'zero-shot': {}, 'adapted': results}))


def test_a_measured_row_stands_below_the_papers(tool, tmp_path, monkeypatch, capsys):
    for name, present in (('cma_vit-b32_didemo', 1004), ('coop_vit-b32_didemo', 900)):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'report.json').write_text(report(present))
    monkeypatch.setattr(sys, 'argv', ['paper_tables.py', '--work-dirs', str(tmp_path)])
    tool.main()
    lines = capsys.readouterr().out.splitlines()
    ours = lines.index('| Cross-Modal Adapter, measured | 0.521 M | ' + ' | '.join(['12.3'] * 10) + ' |')
    assert lines[ours - 1].startswith('| Cross-Modal Adapter, **paper** | 0.5 M | 45.6 | 71.8 |')
    assert any(line.startswith('| CoOp, measured (gallery 900 of 1,004) |') for line in lines)
    assert any(line.startswith('| MaPLe, measured |  |') for line in lines)


def test_every_row_has_its_columns_and_its_config(tool):
    import mmengine
    tables = mmengine.load(tool.PAPER)
    for table in tables.values():
        for name, row in table['rows'].items():
            assert len(row.get('paper', table['columns'])) == len(table['columns']), name
    assert all((ROOT / config).is_file() for config in tool.configs(tables, 'all'))


def test_an_unknown_table_is_named(tool):
    with pytest.raises(ConfigError, match="'text-vido' is none of .*Did you mean 'text-video'"):
        tool.configs({'text-video': {}}, 'text-vido')


def test_the_script_skips_what_is_done_and_says_what_it_lacks(tmp_path):
    """With every row of a table reported, nothing is trained; without arguments it says how it is used."""
    script = tmp_path / 'tools' / 'reproduce_paper.sh'
    script.parent.mkdir()
    script.write_text((ROOT / 'tools' / 'reproduce_paper.sh').read_text())
    (script.parent / 'analysis_tools').symlink_to(ROOT / 'tools' / 'analysis_tools')
    environment = dict(PATH=f'{Path(sys.executable).parent}:/usr/bin:/bin', PYTHONPATH=str(ROOT))
    for config in ('cma_vit-b32_msrvtt', 'cma_vit-b16_msrvtt', 'cma_vit-b32_msvd', 'cma_vit-b32_vatex',
                   'cma_vit-b32_activitynet', 'cma_vit-b16_didemo'):
        (tmp_path / 'work_dirs' / config).mkdir(parents=True)
        (tmp_path / 'work_dirs' / config / 'report.json').write_text(report(1004))
    done = subprocess.run(['bash', script, 'own-settings', '4'], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('done already') == 6 and '| DiDeMo, ViT-B/16, measured | 0.521 M | 12.3 |' in done.stdout
    failed = subprocess.run(['bash', script], env=environment, capture_output=True, text=True)
    assert failed.returncode == 2 and failed.stderr.startswith('usage: ')
