"""The identity of a backbone, and what is kept of it between runs."""
import os

import pytest
import torch
from helpers.clip import model_config, write_clip
from safetensors.torch import load_file, save_file

from mmcma.checkpoints.identity import backbone_identity, recall_backbone
from mmcma.models import CrossModalRetriever


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('MMCMA_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache' / 'fingerprints'


def recalled(build, folder: str) -> dict:
    model = build(model_config(folder))
    recall_backbone(model)
    return backbone_identity(model)


def test_a_fingerprint_is_made_once(build, cache, tmp_path, monkeypatch):
    folder = write_clip(tmp_path / 'clip')
    expected = backbone_identity(build(model_config(folder)))
    assert recalled(build, folder) == expected
    monkeypatch.setattr(CrossModalRetriever, 'backbone_fingerprint', lambda self: pytest.fail('made anew'))
    assert recalled(build, folder) == expected and len(list(cache.iterdir())) == 1


def test_other_weights_in_the_same_place_have_another(build, cache, tmp_path):
    folder = write_clip(tmp_path / 'clip')
    before, path = recalled(build, folder), tmp_path / 'clip' / 'model.safetensors'
    state = load_file(path)
    state['visual_projection.weight'] += torch.ones(())
    save_file(state, path, metadata=dict(format='pt'))
    os.utime(path, ns=(0, 0))
    after = recalled(build, folder)
    assert after['fingerprint'] != before['fingerprint']
    assert before == dict(recalled(build, write_clip(tmp_path / 'copy')), name=before['name'])


@pytest.mark.parametrize('content', ['', 'x' * 32, 'abc'])
def test_a_damaged_cache_is_made_anew(build, cache, tmp_path, content):
    folder = write_clip(tmp_path / 'clip')
    expected = recalled(build, folder)
    kept, = cache.iterdir()
    kept.write_text(content)
    assert recalled(build, folder) == expected and kept.read_text() == expected['fingerprint']


def test_without_a_cache_that_can_be_written(build, tmp_path, monkeypatch):
    (tmp_path / 'file').touch()
    monkeypatch.setenv('MMCMA_CACHE', str(tmp_path / 'file'))
    folder = write_clip(tmp_path / 'clip')
    assert recalled(build, folder) == backbone_identity(build(model_config(folder)))


def test_towers_from_scratch_have_none(build, tiny_clip, cache):
    config = model_config(tiny_clip)
    model = build(config)
    model.vision_backbone.source = None
    recall_backbone(model)
    assert backbone_identity(model)['fingerprint'] is None and not cache.exists()
