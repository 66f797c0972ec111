"""Configs as data: what a checkpoint holds of one, and what that may not name."""
import sys

import pytest
import torch
from helpers.checkpoints import retrieval_config, trained_checkpoint

from mmcma.apis import init_model, trusted_checkpoints
from mmcma.apis.describe import describe
from mmcma.checkpoints.checkpoint_file import checkpoint_config, read_checkpoint
from mmcma.checkpoints.config_data import loaded_config, parse_config_text, plain_config, required_modules
from mmcma.registry import MODELS
from mmcma.utils.errors import ConfigError
from mmcma.utils.plain_loading import UntrustedError

MODULE = 'a_module_of_strangers'


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The mark that a module makes when it is imported, under its own name or as a package with a registry."""
    mark, package = tmp_path / 'it_ran', tmp_path / 'modules' / MODULE
    package.mkdir(parents=True)
    for name in ('__init__', 'registry'):
        (package / f'{name}.py').write_text(f'import os\nos.makedirs({str(mark)!r}, exist_ok=True)\n')
    monkeypatch.syspath_prepend(tmp_path / 'modules')
    yield mark
    sys.modules.pop(MODULE, None)


def test_the_text_of_old_checkpoints_is_read_without_running_it(tiny_clip):
    config = retrieval_config(tiny_clip, neck=dict(type='LoRA', r=2, names=['q', 'v'], scale=-0.5, bias=None))
    config.betas, config.on, config.odd = (0.9, 0.98), True, {'a b': 1, 'c': dict(d='"x"')}
    assert parse_config_text(config.pretty_text) == config.to_dict()


@pytest.mark.parametrize('text', [
    'import os', "x = __import__('os').mkdir('x')", 'x = dict(**{})', 'x = dict([(1, 2)])', 'x = dict(print())',
    'x = {**{}}', 'x = [i for i in (1,)]', "x = f'{1}'", 'x.y = 1', 'x = y', 'if 1:\n  x = 1'])
def test_a_program_is_not_read(text):
    with pytest.raises(ValueError, match='line 1'):
        parse_config_text(text)


def test_a_checkpoint_keeps_plain_containers(tmp_path):
    kept = plain_config(dict(a=(1, 2.5, None), b=[dict(c='x', d=True)], path=tmp_path, kind=dict))
    assert kept == dict(a=(1, 2.5, None), b=[dict(c='x', d=True)], path=str(tmp_path), kind=str(dict))
    torch.save(dict(state_dict={}, meta=dict(cfg=kept)), tmp_path / 'a.pth')
    assert read_checkpoint(tmp_path / 'a.pth')['meta']['cfg'] == kept


def test_a_program_in_a_checkpoint_runs_when_it_is_trusted_only(tmp_path):
    mark = tmp_path / 'it_ran'
    text = f"import os\nos.makedirs({str(mark)!r}, exist_ok=True)\nmodel = dict(type='CrossModalRetriever')\n"
    checkpoint = dict(state_dict={}, meta=dict(cfg=text))
    with pytest.raises(UntrustedError, match='holds its config as a program .*--trust-checkpoint'):
        checkpoint_config(checkpoint, 'a.pth')
    assert not mark.exists()
    with trusted_checkpoints():
        assert checkpoint_config(checkpoint, 'a.pth')[0].model == dict(type='CrossModalRetriever')
    assert mark.is_dir()


@pytest.mark.parametrize('change', [
    dict(type='os.system'), dict(type=f'{MODULE}.Part'), dict(_scope_=MODULE), dict(init_cfg=dict(type='Pretrained')),
    dict(attn_implementation='stranger/kernel'), dict(type=['X'])])
@pytest.mark.parametrize('place', ['model', 'neck', 'step'])
def test_what_leads_out_of_a_loaded_config_is_refused_and_not_imported(module, place, change, tiny_clip):
    content = retrieval_config(tiny_clip).to_dict()
    dict(model=content['model'], neck=content['model']['neck'],
         step=content['test_dataloader']['dataset']['pipeline'][0])[place].update(change)
    with pytest.raises(ConfigError, match='is refused in a checkpoint, where'):
        loaded_config(content, "'a.pth'", 'a checkpoint')
    assert not module.exists()


@pytest.mark.parametrize('part', ['neck', 'similarity', 'step'])
def test_a_name_that_is_not_registered_is_not_imported(module, tiny_clip, tmp_path, part):
    """mmengine's registries import a module of that name."""
    path = trained_checkpoint(tmp_path, config := retrieval_config(tiny_clip))
    content = config.to_dict()
    content['custom_imports'] = dict(imports=[MODULE])
    dict(neck=content['model']['neck'], similarity=content['model']['head']['similarity'],
         step=content['test_dataloader']['dataset']['pipeline'][1])[part].update(type=MODULE)
    torch.save(dict(read_checkpoint(path), meta=dict(cfg=content)), path)
    with pytest.raises(ConfigError, match=f"'{MODULE}' is no part of mmcma.*--import {MODULE}"):
        init_model(path, device='cpu')
    assert describe(path)['requires'] == f'{MODULE} (not imported: --import {MODULE})'
    assert not module.exists()


def test_what_a_config_requires_is_where_its_parts_are_defined(tiny_clip):
    config = retrieval_config(tiny_clip)
    assert required_modules(config) == []

    @MODELS.register_module()
    class OwnSimilarity:
        pass
    try:
        config.model.head.similarity.type = 'OwnSimilarity'
        assert required_modules(config) == [__name__]
    finally:
        MODELS.module_dict.pop('OwnSimilarity')
