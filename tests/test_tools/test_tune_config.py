"""The learning rate of a config of one's own, on a data set that only the test knows."""
import csv
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import commands
from PIL import Image

from mmcma.config import load_config
from mmcma.utils.errors import ConfigError

COLOURS = dict(red=(220, 30, 30), green=(20, 200, 40), blue=(30, 40, 220), black=(0, 0, 0), white=(255, 255, 255))
CONFIG = """
_base_ = ['mmcma::_base_/models/clip_tiny.py', 'mmcma::_base_/datasets/captioned_files.py',
          'mmcma::_base_/schedules/cma_tiny.py', 'mmcma::_base_/default_runtime.py']
pipeline = _base_.pipeline
pipeline[0] = dict(type='LoadImage')
pipeline[1].update(size=32)
pretrained = 'CLIP'
model = dict(
    vision_backbone=dict(_delete_=True, type='HFVisionTower', pretrained=pretrained),
    text_backbone=dict(_delete_=True, type='HFTextTower', pretrained=pretrained),
    neck=dict(type='CrossModalAdapter', bottleneck_dim=4, shared_dim=8),
    head=dict(similarity=dict(_delete_=True, type='MeanPool')))
num_workers = 0
loader = dict(dataset=dict(data_root='DATA'))
train_dataloader = dict(batch_size=20, **loader)
val_dataloader = test_dataloader = loader
train_cfg = dict(max_epochs=1)
"""


@pytest.fixture(scope='module')
def pictures(tmp_path_factory) -> Path:
    """230 pictures of one colour each, listed in train.csv alone: there is no test set to look at."""
    folder = tmp_path_factory.mktemp('own')
    (folder / 'videos').mkdir()
    with (folder / 'train.csv').open('w', newline='') as file:
        rows = csv.writer(file)
        rows.writerow(['path', 'caption'])
        for number in range(230):
            name = list(COLOURS)[number % len(COLOURS)]
            Image.fromarray(np.full((32, 32, 3), COLOURS[name], np.uint8)).save(folder / 'videos' / f'{number}.png')
            rows.writerow([f'{number}.png', f'{name} {number}'])
    return folder


@pytest.fixture
def tools(monkeypatch, tmp_path, pictures, tiny_clip):
    """The tool, in an empty folder that holds the config alone."""
    monkeypatch.chdir(tmp_path)
    Path('mine.py').write_text(CONFIG.replace('CLIP', str(tiny_clip), 1).replace('DATA', str(pictures)))
    return importlib.import_module('compare_methods')


def call(tools, monkeypatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, 'argv', ['compare_methods.py', 'tune', *arguments])
    tools.main()


def fake_train(recall_of):
    def train(study, entry, seed, rate, changes, threads):
        return dict(rate=rate, results={study.metric: recall_of(rate)})
    return train


@pytest.mark.slow
def test_a_real_config_from_the_command_to_the_plot(tools, monkeypatch, capsys):
    monkeypatch.setattr(tools, 'call', commands.call)
    call(tools, monkeypatch, 'mine.py', '--cfg-options', 'train_cfg.max_epochs=2')
    said = capsys.readouterr().out
    # A tenth of 230 is held out; 207 are left, of which a quarter would be less than 500.
    assert 'mine.py: 0.003, 0.01, 0.03, each on 207 of the training items; tested on 23 others' in said
    assert 'use it    --cfg-options optim_wrapper.optimizer.lr=' in said
    assert Path('work_dirs/mine/tune/rates.png').is_file()
    tried = load_config('work_dirs/mine/tune/mine.py')
    assert tried.train_cfg.max_epochs == 2 and tried.test_dataloader.dataset.indices == -23
    assert tried.test_dataloader.dataset.ann_file == 'train.csv' and tried.val_cfg is None


@pytest.mark.parametrize('recall_of, rates, best', [
    (lambda rate: 10 - abs(rate - 0.01), '0.003: 10.0, 0.01: 10.0, 0.03: 10.0', '0.01.'),
    (lambda rate: 100 * rate, '0.003: 0.3, 0.01: 1.0, 0.03: 3.0, 0.1: 10.0', '0.1. It is the highest that was tried.'),
    (lambda rate: 5 if rate == 0.003 else 1, '0.001: 1.0, 0.003: 5.0, 0.01: 1.0, 0.03: 1.0', '0.003.'),
    (lambda rate: 7, '0.001: 7.0, 0.003: 7.0, 0.01: 7.0, 0.03: 7.0', '0.001. It is the lowest that was tried.'),
])
def test_one_rate_more_beyond_the_best_at_the_edge(tools, monkeypatch, capsys, recall_of, rates, best):
    monkeypatch.setattr(tools, 'train', fake_train(recall_of))
    call(tools, monkeypatch, 'mine.py')
    assert f'best of {rates} is {best}\n' in capsys.readouterr().out


def test_what_was_tried_is_not_tried_again_nor_mixed_with_another_config(tools, monkeypatch, capsys):
    monkeypatch.setattr(tools, 'train', fake_train(lambda rate: 10 - rate))
    call(tools, monkeypatch, 'mine.py')
    first = capsys.readouterr().out
    call(tools, monkeypatch, 'mine.py')
    assert first.count(' lr 0.') == 4 and ' lr 0.' not in capsys.readouterr().out
    with pytest.raises(ConfigError, match='is another config than this one with these options'):
        call(tools, monkeypatch, 'mine.py', '--cfg-options', 'train_cfg.max_epochs=3')
    call(tools, monkeypatch, 'mine.py', '--cfg-options', 'train_cfg.max_epochs=3', '--work-dir', 'other')


@pytest.mark.parametrize('arguments, message', [
    (['mine.py', '--cfg-options', 'train_dataloader.dataset.indices=100'], 'one whole data set, without indices'),
    (['mine.py', '--only', 'cma'], '--only .* mine.py is a config'),
    (['glyphmotion', '--metric', 't2v/R@10'], '--metric t2v/R@10: glyphmotion is a study'),
    (['mien.py'], "study or config 'mien.py'.* there are: .*glyphmotion"),
    (['mine.py', '--cfg-options', 'model.nekc=1'], 'nekc'),
])
def test_a_faulty_call_is_one_line(tools, monkeypatch, arguments, message):
    with pytest.raises(ConfigError, match=message):
        call(tools, monkeypatch, *arguments)


def test_too_few_items_say_nothing(tools, monkeypatch, tmp_path, pictures):
    lines = (pictures / 'train.csv').read_text().splitlines()
    (pictures / 'few.csv').write_text('\n'.join(lines[:101]) + '\n')
    with pytest.raises(ConfigError, match='a tenth of its 100 training items is held out, and fewer than 20'):
        call(tools, monkeypatch, 'mine.py', '--cfg-options', 'train_dataloader.dataset.ann_file=few.csv')
