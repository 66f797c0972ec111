"""A study end to end on a small set, and its logic with made-up runs."""
import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import commands, one_process, tiny_run

from mmcma.utils.errors import ConfigError

TOOLS = Path(__file__).parents[2] / 'tools' / 'analysis_tools'

STUDY = """
title: Noise
metric: t2v/R@1
seeds: [0, 1]
options: {train_cfg.max_epochs: 1}
tune: {rates: [0.001, 0.01], options: {test_dataloader.dataset.seed: 2}}
reference: cma
entries:
  zero-shot: {config: CONFIG, train: false}
  cma: {config: CONFIG}
  narrow: {config: CONFIG, options: {model.neck.bottleneck_dim: 2}, tuned_as: cma}
tables:
  all: {title: All, compared_with: cma, entries: [zero-shot, cma, narrow]}
"""


@pytest.fixture
def tools(monkeypatch, tmp_path):
    """The tool's modules, with studies and results in a folder of the test's own."""
    study, compare, page = (importlib.import_module(name) for name in ('study', 'compare_methods', 'study_page'))
    for module in (study, page):
        monkeypatch.setattr(module, 'RESULTS', tmp_path / 'results')
    monkeypatch.setattr(compare, 'STUDIES', tmp_path)
    return compare


@pytest.fixture
def study(tools, tmp_path, tiny_clip):
    config = tiny_run.write_config(tmp_path, tiny_clip)
    text = config.read_text().replace("dict(type='ResumeHook')]", "dict(type='RetrievalReportHook')]")
    config.write_text(text)
    (tmp_path / 'noise.yml').write_text(STUDY.replace('CONFIG', str(config)))
    return importlib.import_module('study').read_study(tmp_path / 'noise.yml')


def call(tools, monkeypatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, 'argv', ['compare_methods.py', *arguments])
    tools.main()


def fake_train(study, entry, seed, rate, changes, threads):
    recall = 10.0 + seed % 100 + (5 if rate == 0.001 else 0)
    results = {f'{way}/{key}': recall for way in ('t2v', 'v2t') for key in ('R@1', 'R@5', 'R@10', 'MdR', 'MnR')}
    return dict(entry=entry.name, rate=rate, results={**results, 't2v/order/R@1': 1.0}, caption_kinds=['order'],
                dataset='D', split='test', gallery=dict(present=9, expected=1000), num_captions=18,
                protocols=dict(v2t='best_caption'), t2v_rank_edges=[1, 2, 9], t2v_rank_shares=[50, 25, 25],
                parameters=dict(trainable=7, share_percent=0.5))


@pytest.mark.slow
def test_a_real_study_runs_from_tuning_to_the_page(tools, study, monkeypatch, tmp_path, capsys):
    """Two learning rates, the method and the zero-shot model, and the cost of a step; two seeds would be the same."""
    monkeypatch.setattr(tools, 'read_study', lambda path, read=tools.read_study: read_one_seed(read(path)))
    monkeypatch.setattr(importlib.import_module('study'), 'COST_ROUNDS', 1)
    monkeypatch.setattr(tools, 'call', commands.call)
    monkeypatch.setattr('benchmarks.core.isolated', one_process.in_this_process)
    call(tools, monkeypatch, 'run', 'noise', '--only', 'zero-shot')
    call(tools, monkeypatch, 'tune', 'noise')
    call(tools, monkeypatch, 'run', 'noise', '--only', 'cma')
    call(tools, monkeypatch, 'cost', 'noise', '--only', 'cma')
    call(tools, monkeypatch, 'draw', 'noise')
    page = (tmp_path / 'results' / 'noise.md').read_text()
    run = json.loads(study.file('run', 'cma', 0).read_text())
    assert run['rate'] == study.rate('cma') and run['num_items'] == 7
    assert sum(run['t2v_rank_shares']) == pytest.approx(100, abs=0.01)  # each is rounded to 0.001
    assert f'| **cma** | {run["parameters"]["trainable"]:,} |' in page and '| 1.00 | 1.00 |' in page
    assert 'Not run yet: narrow' in page and (tmp_path / 'results' / 'noise' / 'all_parameters.png').is_file()


def test_a_tool_in_a_process_of_its_own(tools):
    tools.call(['tools/train.py', '--help'], threads=3)
    with pytest.raises(ConfigError, match=r"error: config 'no.py' does not exist"):
        tools.call(['tools/train.py', 'no.py'], threads=3)


def read_one_seed(study):
    from dataclasses import replace
    return replace(study, seeds=study.seeds[:1])


def test_the_best_rate_is_run_and_nothing_twice(tools, study, monkeypatch, capsys):
    monkeypatch.setattr(tools, 'train', fake_train)
    with pytest.raises(ConfigError, match=r'2 failed|failed'):
        call(tools, monkeypatch, 'run', 'noise', '--only', 'cma')
    assert 'cma has no learning rate yet, 0 of 2' in capsys.readouterr().out
    call(tools, monkeypatch, 'tune', 'noise')
    assert study.rate('cma') == study.rate('narrow') == 0.001 and study.rate('zero-shot') is None
    call(tools, monkeypatch, 'run', 'noise')
    assert 'narrow seed 1' in capsys.readouterr().out
    assert len(study.results('run', 'cma')) == 2 and len(study.results('run', 'zero-shot')) == 1
    call(tools, monkeypatch, 'run', 'noise')
    assert not capsys.readouterr().out


def test_a_failed_run_is_named_and_the_others_are_kept(tools, study, monkeypatch, capsys):
    def train(study, entry, seed, *rest):
        if entry.name == 'cma' and rest[0] == 0.01:
            raise ConfigError('no such luck')
        return fake_train(study, entry, seed, *rest)

    monkeypatch.setattr(tools, 'train', train)
    with pytest.raises(ConfigError, match='1 failed: cma lr 0.01;'):
        call(tools, monkeypatch, 'tune', 'noise')
    assert 'no such luck' in capsys.readouterr().out and study.file('tune', 'cma', 0.001).is_file()


def test_table_by_hand(tools, study, monkeypatch, tmp_path):
    """Seeds 0 and 1 give 15 and 16: mean 15.5, deviation 0.7; two equal methods differ by 0 ± sqrt(2 * 0.5 / 2)."""
    monkeypatch.setattr(tools, 'train', fake_train)
    for command in ('tune', 'run', 'draw'):
        call(tools, monkeypatch, command, 'noise')
    lines = (tmp_path / 'results' / 'noise.md').read_text().splitlines()
    narrow = next(line for line in lines if line.startswith('| narrow | 7 | 0.50 % | 0.001 | 2 | 15.5 ± 0.7 |'))
    assert '| +0.0 ± 0.7 |' in narrow
    assert any('gallery of 9 of 1,000 items' in line for line in lines)


@pytest.mark.parametrize('change, message', [
    (('reference: cma', 'reference: cam'), "'cam' is none of its entries. Did you mean 'cma'"),
    (('seeds', 'seed'), "unexpected keyword argument 'seed'"),
    (('tuned_as: cma', 'tuned_as: ccma'), "'ccma' is none"),
    (('zero-shot: {config: ', 'zero-shot: {config: /nowhere'), "entry 'zero-shot': there is no /nowhere"),
])
def test_a_faulty_study_is_named(tools, study, tmp_path, change, message):
    path = tmp_path / 'noise.yml'
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(ConfigError, match='noise.yml') as error:
        tools.read_study(path)
    assert message in str(error.value)


def test_an_unknown_study_lists_those_there_are(tools, study, tmp_path):
    with pytest.raises(ConfigError, match='there are: noise'):
        tools.read_study(tmp_path / 'glyph.yml')


SWEEP = """
sweep: {title: epochs, values: {1: {train_cfg.max_epochs: 1}, 3: {train_cfg.max_epochs: 3}}}
"""


def test_a_sweep_has_every_method_once_at_each_value_and_a_row_of_its_own(tools, study, monkeypatch, tmp_path):
    """Seeds 0 and 1 with the one rate there is, 0.001: 15 and 16 at one epoch; at three the fake adds 30."""
    def train(study, entry, seed, rate, changes, threads):
        run = fake_train(study, entry, seed, rate, changes, threads)
        run['results']['t2v/R@1'] += 30 * (changes['train_cfg.max_epochs'] == 3)
        return run

    text = (tmp_path / 'noise.yml').read_text()
    text = text[:text.index('  narrow')].replace('[0.001, 0.01]', '[0.001]')
    text = text.replace('reference: cma', 'reference: cma_1')
    (tmp_path / 'swept.yml').write_text(text + SWEEP)
    monkeypatch.setattr(tools, 'train', train)
    for command in ('tune', 'run', 'draw'):  # one rate is no choice: tune does nothing
        call(tools, monkeypatch, command, 'swept')
    files = sorted(path.name for path in (tmp_path / 'results' / 'swept').rglob('*.json'))
    assert files == ['cma_1_seed-0.json', 'cma_1_seed-1.json', 'cma_3_seed-0.json', 'cma_3_seed-1.json',
                     'zero-shot_seed-0.json']
    page = (tmp_path / 'results' / 'swept.md').read_text()
    assert '| epochs | 1 | 3 |' in page and '| cma | 15.5 ± 0.7 | 45.5 ± 0.7 |' in page
    assert 'Learning rates are taken over' in page and (tmp_path / 'results' / 'swept' / 'sweep.png').is_file()


def test_the_committed_studies_are_whole(tools):
    for path in (TOOLS / 'studies').glob('*.yml'):
        study = tools.read_study(path)
        assert study.tables or study.sweep


def test_labels_of_marks_that_lie_close_stand_in_a_column(tools):
    page, up = importlib.import_module('study_page'), 220 / 20  # points a percent
    recalls = [20.0, 20.5, 19.0, 35.0, 15.0]
    offsets = page._label_offsets(np.array([4.6, 4.61, 4.55, 4.6, 3.6]), np.array(recalls))
    ends = [recall * up + rise for recall, (_, rise) in zip(recalls, offsets)]
    # Three that would meet: in the order of their marks, a height apart, around their middle. Two beside theirs.
    assert ends[1] - ends[0] == pytest.approx(10) and ends[0] - ends[2] == pytest.approx(10)
    assert sum(ends[:3]) == pytest.approx(sum(recalls[:3]) * up)
    assert offsets[3] == offsets[4] == (7, 0)
