"""Every config can be read, names only what exists, and builds its model."""
import re
from pathlib import Path

import pytest
from helpers.clip import write_clip

from mmcma.config import check_config, load_config
from mmcma.models.backbones.pretrained import BUNDLED
from mmcma.registry import MODELS

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(path for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts)


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT / 'configs'))


@pytest.fixture(scope='module')
def wide_clip(tmp_path_factory) -> str:
    """A small CLIP with CLIP's context, and with towers wide enough for every d_s and deep enough for every prompt."""
    return write_clip(tmp_path_factory.mktemp('clip'), vision_width=576, text_width=512, context=77,
                      vision_layers=12, text_layers=12)


@pytest.fixture(scope='module')
def trains():
    """Whether the model of a config trains anything. Configs that differ in their data have one model between them."""
    known = {}

    def answer(model: dict) -> bool:
        text = str(model)
        if text not in known:
            known[text] = bool(MODELS.build(model).trainable_parameters())
        return known[text]
    return answer


@pytest.mark.parametrize('path', CONFIGS, ids=ids)
def test_config_is_complete_and_its_model_builds(path, wide_clip, trains):
    cfg = load_config(path)
    check_config(cfg)
    for tower in (cfg.model.vision_backbone, cfg.model.text_backbone):
        if 'pretrained' in tower and tower.pretrained not in BUNDLED:
            tower.pretrained = wide_clip  # weights from the Hub are not part of the tests
        if tower.type == 'MMPretrainTower':  # nor are mmpretrain's; the projection leads to the small CLIP's space
            tower.update(checkpoint=None, trainable=True, embed_dim=32)
    assert trains(cfg.model) == (path.parent.name != 'zeroshot')
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader', 'val_evaluator', 'test_evaluator',
                'train_cfg', 'optim_wrapper', 'param_scheduler', 'default_hooks', 'visualizer'):
        assert key in cfg, key


@pytest.mark.parametrize('path', CONFIGS, ids=ids)
def test_config_follows_the_naming_scheme(path):
    """{method}_{backbone}_{dataset}[-{split}][_{what differs}].py; a folder holds one family of methods."""
    part = r'[a-z0-9]+(-[a-z0-9]+)*'
    assert re.fullmatch(rf'{part}_{part}_{part}(_{part})?', path.stem), path.stem


@pytest.mark.parametrize('folder', sorted({path.parent for path in CONFIGS}), ids=ids)
def test_folder_is_documented(folder):
    """README.md and metafile.yml name every config of their folder."""
    for document in ('README.md', 'metafile.yml'):
        text = (folder / document).read_text(encoding='utf-8')
        for path in folder.glob('*.py'):
            assert path.name in text, f'{document} does not name {path.name}'


@pytest.mark.parametrize('path', [path for path in CONFIGS if '_tiny_' in path.name], ids=ids)
def test_readme_states_the_trained_parameters(path):
    count = sum(p.numel() for p in MODELS.build(load_config(path).model).trainable_parameters().values())
    row = next(line for line in (path.parent / 'README.md').read_text().splitlines() if f'({path.name})' in line)
    assert not count or f' {count:,} |' in row


def test_a_part_is_swapped_by_type_alone():
    cfg = load_config(ROOT / 'configs/cma/cma_tiny_glyphmotion.py',
                      {'model.head.similarity': dict(type='MeanPool', _delete_=True)})
    assert type(MODELS.build(cfg.model).head.similarity).__name__ == 'MeanPool'
