"""Training that learns nothing is said to, while it goes on and in its report."""
import json
from pathlib import Path

import pytest
from helpers.tiny_run import read_config
from mmengine.runner import Runner

import mmcma.engine  # noqa: F401
from mmcma.engine.hooks.collapse_hook import Step

HOOKS = [dict(type='FrozenParameterHook'), dict(type='BestCheckpointHook'), dict(type='CollapseHook'),
         dict(type='RetrievalReportHook', zero_shot=False, num_hardest=0, num_panels=0)]


def train(folder: Path, clip: str, monkeypatch, **options) -> tuple[list[str], dict, str]:
    """Warnings while it trains, the report, and its page."""
    cfg = read_config(folder, clip, **options)
    cfg.custom_hooks = HOOKS
    runner = Runner.from_cfg(cfg)
    said: list[str] = []
    monkeypatch.setattr(runner.logger, 'warning', said.append)
    runner.train()
    said = [text for text in said if 'learnt' in text or 'collapsed' in text]
    work = Path(cfg.work_dir)
    return said, json.loads((work / 'report.json').read_text()), (work / 'report.html').read_text()


@pytest.mark.parametrize('options', [
    {'train_dataloader.batch_size': 1, 'train_cfg.max_epochs': 1},
    {'train_dataloader.dataset.size': 1, 'train_cfg.max_epochs': 2},
], ids=['one item a batch', 'one item'])
def test_batches_of_one_item(tiny_clip, tmp_path, monkeypatch, capsys, options):
    (said,), report, page = train(tmp_path, tiny_clip, monkeypatch, **options)
    assert 'shows one item only' in said and 'train_dataloader.batch_size' in said and 'the loss is 0' in said
    assert report['training_fault'].startswith('Nothing is learnt')
    assert 'Nothing is learnt' in page and 'Nothing is learnt' in capsys.readouterr().out


def test_a_collapse_by_too_high_a_rate(tiny_clip, tmp_path, monkeypatch):
    (said,), report, page = train(tmp_path, tiny_clip, monkeypatch, **{
        'optim_wrapper.optimizer.lr': 3.0, 'train_cfg.max_epochs': 9, 'model.neck.dropout': 0.0})
    assert 'Training has collapsed' in said and 'optim_wrapper.optimizer.lr' in said and 'ln 12 = 2.485' in said
    assert report['training_fault'].startswith('Training has collapsed') and 'has collapsed' in page


def test_training_that_learns_has_no_fault(tiny_clip, tmp_path, monkeypatch):
    said, report, page = train(tmp_path, tiny_clip, monkeypatch, **{'train_cfg.max_epochs': 4})
    assert said == [] and report['training_fault'] is None and 'class="warning"' not in page


@pytest.mark.parametrize('other, expected', [
    ({}, True), (dict(loss=4.0), False), (dict(spread=0.05), False), (dict(gradient=0.5), False),
    (dict(gradient=None), True), (dict(alone=True), False)])
def test_a_collapse_is_all_of_its_signs(other, expected):
    step = dict(pairs=64, alone=False, loss=4.158, chance=4.1589, spread=0.001, gradient=0.02)
    assert Step(**{**step, **other}).collapsed is expected
