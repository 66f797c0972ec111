import importlib.util
import json
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / 'tools' / 'analysis_tools' / 'summarise_runs.py'


@pytest.fixture
def tool():
    spec = importlib.util.spec_from_file_location('summarise_runs', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def report(tool, config: str, seed: int, recall: float) -> dict:
    figures = {key: recall for key in (*tool.COLUMNS, 't2v/order/R@1')}
    kept = ('num_items', 'num_captions', 'protocols', 'parameters', 'backbone', 'device', 'versions', 'seconds')
    results = {'zero-shot': figures, 'adapted': {key: value + 1 for key, value in figures.items()}}
    for result in results.values():
        result['gallery'] = '9 of 1,000'
    return dict.fromkeys(kept) | dict(config=config, seed=seed, dataset='D', split='test', results=results,
                                      gallery=dict(present=9, expected=1000))


def test_mean_and_spread_by_config(tool, tmp_path, monkeypatch, capsys):
    for run, (config, recall) in enumerate([('cma.py', 10.0), ('cma.py', 14.0), ('adapter.py', 10.0)]):
        (tmp_path / f'run{run}').mkdir()
        (tmp_path / f'run{run}' / 'report.json').write_text(json.dumps(report(tool, config, run, recall)))
    runs = [str(tmp_path / f'run{run}') for run in range(3)]
    monkeypatch.setattr(sys, 'argv', ['summarise_runs.py', *runs, '--out', str(tmp_path / 'out' / 'all.json')])
    tool.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith('| zero-shot (D test, 9 of 1,000) | 1 | 10.0 |')
    assert lines[3].startswith('| cma.py (D test, 9 of 1,000) | 2 | 13.0 ± 2.8 |') and 't2v/order/R@1' in lines[0]
    assert lines[4].startswith('| adapter.py (D test, 9 of 1,000) | 1 | 11.0 |')
    kept = json.loads((tmp_path / 'out' / 'all.json').read_text())
    assert [run['seed'] for run in kept] == [0, 1, 2] and kept[1]['results']['adapted']['t2v/R@1'] == 15.0
    assert kept[0]['results']['zero-shot']['gallery'] == '9 of 1,000'
