"""Every config can be read, names only what exists, and builds its model."""
import copy
import re
from pathlib import Path

import mmengine
import pytest
import torch
from helpers.clip import write_clip
from torch import nn

from mmcma.config import check_config, load_config
from mmcma.models.backbones import hf_tower
from mmcma.models.backbones.pretrained import BUNDLED, read_dual
from mmcma.registry import MODELS

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(path for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts)


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT / 'configs'))


@pytest.fixture(scope='module')
def wide_clip(tmp_path_factory) -> str:
    """A small CLIP with CLIP's context, and with towers wide enough for every d_s and deep enough for every prompt."""
    return write_clip(tmp_path_factory.mktemp('clip'), vision_width=576, text_width=512, context=77,
                      vision_layers=12, text_layers=12, patch_size=8)


@pytest.fixture(scope='module')
def read_once():
    """A dual encoder's weights are those of all models; what is built has modules and ``requires_grad`` of its own."""
    known = {}

    def read(*, pretrained, config):
        key = str((pretrained, config))
        if key not in known:
            known[key] = read_dual(pretrained=pretrained, config=config)
        return copy.deepcopy(known[key], {id(p): nn.Parameter(p.detach()) for p in known[key].parameters()})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hf_tower, 'read_dual', read)
        yield


@pytest.fixture(scope='module')
def trained(read_once):
    """How many weights of a config's model train. Configs that differ in their data have one model between them."""
    known = {}

    def answer(model: dict) -> int:
        text = str(model)
        if text not in known:
            known[text] = count_trained(model)
        return known[text]
    return answer


def count_trained(model: dict) -> int:
    return sum(p.numel() for p in MODELS.build(model).trainable_parameters().values())


@pytest.mark.parametrize('path', CONFIGS, ids=ids)
def test_config_is_complete_and_its_model_builds(path, wide_clip, trained):
    cfg = load_config(path)
    check_config(cfg)
    for tower in (cfg.model.vision_backbone, cfg.model.text_backbone):
        if 'pretrained' in tower and tower.pretrained not in BUNDLED:
            tower.pretrained = wide_clip  # weights from the Hub are not part of the tests
        if tower.type == 'MMPretrainTower':  # nor are mmpretrain's; the projection leads to the small CLIP's space
            tower.update(checkpoint=None, trainable=True, embed_dim=32)
    assert bool(trained(cfg.model)) == (path.parent.name != 'zeroshot')
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
def test_readme_states_the_trained_parameters(path, trained):
    count = trained(load_config(path).model)
    row = next(line for line in (path.parent / 'README.md').read_text().splitlines() if f'({path.name})' in line)
    assert not count or f' {count:,} |' in row


#: Rows of the paper's tables that a config trains: config -> millions of parameters, as the paper or the row has them.
PAPER_ROWS = {row['config']: row.get('released', row['trained'])
              for table in mmengine.load(ROOT / 'tools/analysis_tools/paper.yml').values()
              for row in table['rows'].values() if 'trained' in row and 'config' in row}


@pytest.fixture
def clip_b32_without_memory(monkeypatch) -> dict:
    """Config of CLIP ViT-B/32, which towers then build without weights behind its shapes."""
    def read(*, pretrained, config):
        with torch.device('meta'):
            dual = read_dual(config=config)
        dual.logit_scale = nn.Parameter(torch.tensor(2.66))
        return dual

    monkeypatch.setattr(hf_tower, 'read_dual', read)
    return dict(model_type='clip', vision_config=dict(patch_size=32), text_config=dict(vocab_size=49408))


def trained_on(name: str, clip: dict) -> int:
    """Weights of a config that train, on CLIP ViT-B/32; its README states them."""
    model = load_config(ROOT / 'configs' / name).model
    for tower in (model.vision_backbone, model.text_backbone):
        tower.update(config=clip, pretrained=None)
    model.text_backbone.tokenizer = 'mmcma/clip-tiny-glyphs'
    trained = count_trained(model)
    row = next(line for line in (ROOT / 'configs' / name).with_name('README.md').read_text().splitlines()
               if f'({Path(name).name})' in line)
    assert f' {trained:,} |' in row
    return trained


@pytest.mark.parametrize('name', PAPER_ROWS)
def test_a_row_of_the_paper_trains_as_much_as_there(name, clip_b32_without_memory):
    decimals = len(str(PAPER_ROWS[name]).partition('.')[2])
    assert round(trained_on(name, clip_b32_without_memory) / 1e6, decimals) == PAPER_ROWS[name]


_LAYER = 12 * 768 ** 2 + 13 * 768  # a transformer layer as wide as ViT-B's
_VOP_CAPTIONS = 12 * (4 + 4) * 512


@pytest.mark.parametrize('name, count', [
    ('prompt/vop', 12 * 8 * 768 + _VOP_CAPTIONS),
    ('prompt/vop-p', 12 * (4 + 12 * 4) * 768 + _VOP_CAPTIONS),
    ('prompt/vop-c', 12 * 4 * 768 + 2 * 8 * 768 * (768 + 1) + (2 * 768 + 1) * 4 * 768 + _VOP_CAPTIONS),
    ('prompt/vop-f', 12 * 8 * 768 + _VOP_CAPTIONS),
    ('prompt/dgl', 12 * (8 + 12 * 4) * 768 + _LAYER + 769 * 1536 + 1537 * 512 + 4 * 768),
    ('lora/discovla', 12 * 8 * 4 * (768 + 512) + 4 * (8 * 769 + 9 * 768)),
    ('lora/discovla-captions', 12 * 8 * 4 * (768 + 512) + 4 * (8 * 769 + 9 * 768) + 2 * (8 * 513 + 9 * 512)),
    ('prompt/prompt-switch', 6 * 6 * 768 + 4 * 768 * 769 + 151_277_313)])
def test_video_methods_train_what_their_formula_says(name, count, clip_b32_without_memory):
    assert trained_on(f'{name}_vit-b32_msrvtt.py', clip_b32_without_memory) == count


def test_a_part_is_swapped_by_type_alone():
    cfg = load_config(ROOT / 'configs/cma/cma_tiny_glyphmotion.py',
                      {'model.head.similarity': dict(type='MeanPool', _delete_=True)})
    assert type(MODELS.build(cfg.model).head.similarity).__name__ == 'MeanPool'
