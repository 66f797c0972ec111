"""Values that stand in one place of a config."""
from pathlib import Path

import pytest

from mmcma.config import load_config
from mmcma.utils.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / 'configs'
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def frames(config) -> list[int]:
    return [config[loader].dataset.pipeline[0].num_frames for loader in LOADERS]


def test_one_option_changes_the_frames_and_the_workers_of_every_loader():
    config = load_config(CONFIGS / 'cma/cma_vit-b16_msrvtt.py', {'pipeline.0.num_frames': 24, 'num_workers': 3})
    assert frames(config) == [24, 24, 24]
    assert [config[loader].num_workers for loader in LOADERS] == [3, 3, 3]


def test_one_line_of_a_child_changes_them_too(tmp_path):
    child = tmp_path / 'child.py'
    child.write_text(f"_base_ = ['{CONFIGS / 'cma/cma_vit-b16_didemo.py'}']\n"
                     'num_workers = 1\npipeline = _base_.pipeline\npipeline[0].update(num_frames=32)\n')
    config = load_config(child)
    assert frames(config) == [32, 32, 32]
    assert [config[loader].num_workers for loader in LOADERS] == [1, 1, 1]


def test_one_loader_can_differ():
    config = load_config(CONFIGS / 'cma/cma_vit-b16_msrvtt.py', {
        'test_dataloader.dataset.pipeline.0.num_frames': 48, 'val_dataloader.num_workers': 0})
    assert frames(config) == [12, 12, 48]
    assert [config[loader].num_workers for loader in LOADERS] == [8, 0, 8]


def test_loaders_share_a_value_and_no_object():
    config = load_config(CONFIGS / 'cma/cma_vit-b16_msrvtt.py')
    config.train_dataloader.dataset.pipeline[0].num_frames = 1
    assert frames(config) == [1, 12, 12] and config.pipeline[0].num_frames == 12


def test_a_wrapped_data_set_takes_it(tmp_path):
    path = tmp_path / 'wrapped.py'
    path.write_text("pipeline = [dict(type='LoadImage')]\n"
                    "train_dataloader = dict(dataset=dict(type='RepeatDataset', times=2, dataset=dict(type='COCO')))\n")
    config = load_config(path)
    assert config.train_dataloader.dataset.dataset.pipeline == [dict(type='LoadImage')]
    assert 'pipeline' not in config.train_dataloader.dataset


@pytest.mark.parametrize('key, place', [('pipeline.0.num_frames', 'train_dataloader.dataset.pipeline.0.num_frames'),
                                        ('num_workers', 'train_dataloader.num_workers')])
def test_an_option_that_no_loader_takes_is_refused(tmp_path, key, place):
    path = tmp_path / 'own.py'
    path.write_text("num_workers = 2\npipeline = [dict(type='LoadVideoFrames', num_frames=12)]\n"
                    'train_dataloader = dict(num_workers=1, dataset=dict(pipeline=pipeline))\n')
    with pytest.raises(ConfigError, match=f'{key}=4 has no effect: .*own.py.*set {place}'):
        load_config(path, {key: 4})
