"""analyze_logs.py, compare_runs.py, get_flops.py and print_config.py."""
import json
import sys
from math import comb
from pathlib import Path

import pytest
from helpers.imports import import_file
from helpers.tiny_run import write_config
from PIL import Image

from mmcma.cli.arguments import run_tool
from mmcma.engine.measured import Measured

TOOLS = Path(__file__).parents[2] / 'tools' / 'analysis_tools'


@pytest.fixture
def run(monkeypatch, capsys):
    """Calls a tool; its exit code and what it said."""
    def call(name: str, *arguments) -> tuple[int, str]:
        monkeypatch.setattr(sys, 'argv', [name, *map(str, arguments)])
        try:
            run_tool(import_file(TOOLS / f'{name}.py').main)
        except SystemExit as end:
            return end.code, ''.join(capsys.readouterr())
        return 0, capsys.readouterr().out
    return call


def write_run(folder: Path, ranks: list[float], losses=(3.0, 1.0), dataset: str = 'MSVD') -> Path:
    """What a run leaves: a report with the ranks of its queries, and a log."""
    keys = ('R@1', 'R@5', 'R@10', 'MdR', 'MnR')
    metrics = {f'{direction}/{key}': 50.0 for direction in ('t2v', 'v2t') for key in keys}
    measured = Measured({**metrics, 'gallery': '2 of 2'}, dict(t2v=ranks, v2t=ranks[::-1]),
                        dict(t2v='every_caption', v2t='best_caption'), dict(present=2, expected=2), len(ranks), 1.0,
                        test_set=f'{len(ranks)} captions')
    folder.mkdir()
    measured.write(folder / 'zero_shot.json')
    measured.write(folder / 'adapted.json')
    (folder / 'report.json').write_text(json.dumps(dict(
        dataset=dataset, split='test', parameters=dict(trainable=1234), results={'zero-shot': {}, 'adapted': metrics})))
    log = folder / '20260101_000000' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    rows = [dict(loss=loss, lr=0.1, step=10 * step) for step, loss in enumerate(losses)]
    rows.append({'t2v/R@1': 40.0, 'step': 1})
    log.write_text(''.join(f'{json.dumps(row)}\n' for row in rows))
    return folder


def test_curves_of_several_runs(run, tmp_path):
    runs = [write_run(tmp_path / name, [1.0], losses) for name, losses in (('a', (3, 1)), ('b', (2, 4, 3)))]
    code, said = run('analyze_logs', *runs, '--out', tmp_path / 'curves.png')
    assert code == 0 and f'{runs[1]}: 2 to 3, least 2, most 4' in said and f't2v/R@1      {runs[0]}: 40 to 40' in said
    assert Image.open(tmp_path / 'curves.png').size == (900, 780)


def test_runs_are_paired_by_query(run, tmp_path):
    """Of the queries that one run answers and not the other, 5 are the second's and 1 the first's; 1.5 is a tie."""
    first = write_run(tmp_path / 'a', [1, 1, 2, 3, 9, 4, 1.5, 7])
    other = write_run(tmp_path / 'b', [1, 3, 1, 1, 1, 1, 1, 2])
    code, said = run('compare_runs', first, other / 'report.json')
    row = [cell.strip() for cell in said.splitlines()[-1].strip('|').split('|')]
    expected = 2 * (comb(6, 0) + comb(6, 1)) / 2 ** 6
    assert code == 0 and row[1] == '1,234' and row[-3:] == ['5', '1', f'{expected:.2g}']
    assert run('compare_runs', first, other, '--direction', 'v2t')[1].splitlines()[-1].endswith(f'{expected:.2g} |')


@pytest.mark.parametrize('won, lost', [(0, 0), (3, 3), (7, 2), (0, 40), (300, 250)])
def test_mcnemar_is_the_binomial_tail(won, lost):
    count, few = won + lost, min(won, lost)
    exact = min(1, 2 * sum(comb(count, k) for k in range(few + 1)) / 2 ** count)
    assert import_file(TOOLS / 'compare_runs.py').mcnemar(won, lost) == pytest.approx(exact, rel=1e-9)


def test_what_goes_into_a_model(run, tmp_path, tiny_clip):
    code, said = run('get_flops', 'cma_tiny_glyphmotion')
    assert code == 0 and '2,991,361, of which 42,496 train (1.421 %)' in said and '8 frames of 64 pixels' in said
    # A layer: 24 w^2 a token, attention, which counts whatever kernel does it, and two adapters of 8 channels.
    width, tokens = 192, 17
    layer = 24 * width**2 * tokens + 4 * width * tokens**2 + 2 * 4 * 8 * width * tokens
    frame = 2 * 16 * 3 * 16**2 * width + 4 * layer + 2 * width * 128
    assert f'a clip       {8 * frame / 1e9:.3f} GFLOP' in said
    assert 'a clip' in run('get_flops', 'stop_tiny_glyphmotion')[1]  # gives a module a parameter
    config = write_config(tmp_path, tiny_clip)
    code, said = run('print_config', config, '--cfg-options', 'model.neck.shared_dim=3')
    assert code == 0 and 'shared_dim=3' in said and "type='WarmupCosineLR'" in said


@pytest.mark.parametrize('name, arguments, said', [
    ('analyze_logs', ['no'], 'error: no: no log of a run'),
    ('analyze_logs', ['a', '--keys', 'los'], "error: --keys los: a has loss, lr, step, t2v/R@1. Did you mean 'loss'?"),
    ('analyze_logs', ['a', '--out', 'no/x.png'], 'error: --out no/x.png cannot be written'),
    ('compare_runs', ['no'], 'error: no/report.json: no report of a run'),
    ('compare_runs', ['a', 'b'], 'error: b was tested on MSVD test'),
    ('compare_runs', ['a', 'c'], 'error: c was tested on VATEX test'),
    ('get_flops', ['no.py'], 'error: config'), ('print_config', ['no.py'], 'error: config')])
def test_wrong_input_is_one_line_and_exit_code_2(run, tmp_path, monkeypatch, name, arguments, said):
    monkeypatch.chdir(tmp_path)
    for folder, ranks, dataset in (('a', [1.0], 'MSVD'), ('b', [1.0, 2.0], 'MSVD'), ('c', [1.0], 'VATEX')):
        write_run(tmp_path / folder, ranks, dataset=dataset)
    code, output = run(name, *arguments)
    line, = (line for line in output.splitlines() if line.startswith('error'))
    assert code == 2 and line.startswith(said)
