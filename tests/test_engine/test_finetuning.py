"""Towers that train themselves, in whole or in part: what is trained, saved and counted."""
import json

import pytest
import torch
from helpers.tiny_run import read_config
from mmengine.runner import Runner
from transformers import CLIPConfig, CLIPModel

import mmcma.engine  # noqa: F401
from mmcma.checkpoints.checkpoint_file import load_trained
from mmcma.models.backbones import HFTower
from mmcma.models.backbones.architectures import architecture
from mmcma.registry import MODELS

PARTS = {'full': True, 'partial': 'last_1_layers', 'projection': 'projection', 'bitfit': 'bias', 'layernorm': 'norm'}


def finetuned(folder, pretrained, part, **options) -> tuple[dict, Runner]:
    """The model's tensors before training, and the runner after it."""
    folder.mkdir(exist_ok=True)
    cfg = read_config(folder, pretrained, **{'optim_wrapper.optimizer.lr': 1e-3}, **options)
    cfg.model.neck = None
    cfg.model.vision_backbone.trainable = cfg.model.text_backbone.trainable = part
    cfg.model.head.train_logit_scale = part is True
    runner = Runner.from_cfg(cfg)
    before = {name: tensor.clone() for name, tensor in runner.model.state_dict().items()}
    runner.train()
    return before, runner


def clip(patch: int) -> CLIPModel:
    with torch.device('meta'):
        dual = CLIPModel(CLIPConfig(vision_config=dict(patch_size=patch)))
    dual.logit_scale = torch.nn.Parameter(torch.zeros(()))
    return dual


def count(dual: CLIPModel, part) -> int:
    halves = architecture('clip')
    towers = [HFTower(dual=dual, half=half, encoder=encoder, source=None, trainable=part,
                     attn_implementation=None)
              for half, encoder in ((halves.vision, dual.vision_model), (halves.text, dual.text_model))]
    return sum(p.numel() for tower in towers for p in tower.trainable_parameters())


def layer(width: int) -> int:
    """Four projections of attention, two of the feed-forward part, two normalisations."""
    return 4 * (width * width + width) + (8 * width * width + 5 * width) + 4 * width


@pytest.mark.parametrize('patch, whole', [(32, 151_277_312), (16, 149_620_736)])
def test_parameter_counts_on_vit_b(patch, whole):
    """The stem differs between the two models, and only that; the logit scale of full fine-tuning comes on top."""
    dual = clip(patch)
    projection = 768 * 512 + 512 * 512
    stem = 768 + 3 * patch ** 2 * 768 + ((224 // patch) ** 2 + 1) * 768 + 2 * 768 + (49_408 + 77) * 512
    norms = 2 * 768 + 2 * 512
    assert count(dual, True) == stem + 12 * (layer(768) + layer(512)) + norms + projection == whole
    assert count(dual, 'last_2_layers') == 2 * (layer(768) + layer(512)) + norms + projection == 21_138_432
    assert count(dual, 'last_1_layers_alone') == layer(768) + layer(512) == 10_240_256
    assert count(dual, 'projection') == projection == 655_360
    assert count(dual, 'bias') == 12 * 11 * (768 + 512) + 2 * 768 + 512 == 171_008
    assert count(dual, 'norm') == 12 * 4 * (768 + 512) + 4 * 768 + 2 * 512 == 65_536


@pytest.mark.parametrize('name', PARTS)
def test_a_part_trains_alone_is_saved_alone_and_loads_again(tiny_clip, tmp_path, name):
    before, runner = finetuned(tmp_path, tiny_clip, PARTS[name])
    after, trained = runner.model.state_dict(), set(runner.model.trainable_parameters())
    changed = {key for key in after if not torch.equal(after[key], before[key])}
    # The same number added to all scores of a query changes no attention: biases of keys have no gradient but noise.
    assert {key for key in trained if not key.endswith('k_proj.bias')} <= changed <= trained
    assert ('head.logit_scale' in trained) == (name == 'full')
    path = f'{runner.work_dir}/epoch_2.pth'
    assert set(torch.load(path, weights_only=False)['state_dict']) == trained
    fresh = MODELS.build(runner.cfg.model)
    load_trained(fresh, path)
    assert all(torch.equal(tensor, after[key]) for key, tensor in fresh.state_dict().items())


@pytest.mark.parametrize('name', ['full', 'bitfit'])
def test_activation_checkpointing_changes_nothing(tiny_clip, tmp_path, name):
    _, plain = finetuned(tmp_path / 'plain', tiny_clip, PARTS[name])
    _, runner = finetuned(tmp_path / 'recomputed', tiny_clip, PARTS[name],
                          activation_checkpointing=['vision_backbone', 'text_backbone'])
    for key, parameter in runner.model.trainable_parameters().items():
        torch.testing.assert_close(parameter, plain.model.get_parameter(key), atol=1e-5, rtol=1e-4, msg=key)


def test_weights_stay_float32_in_bf16(tiny_clip, tmp_path):
    before, runner = finetuned(tmp_path, tiny_clip, True, **{'model.precision': 'bf16'})
    for key, parameter in runner.model.trainable_parameters().items():
        assert parameter.dtype == torch.float32 and parameter.isfinite().all(), key


def test_zero_shot_is_that_of_the_pretrained_towers(tiny_clip, tmp_path):
    """The report's first test, before the towers train, is the test of a model that never trains."""
    cfg = read_config(tmp_path, tiny_clip)
    cfg.model.neck = None
    expected = Runner.from_cfg(cfg).test()
    folder = tmp_path / 'tuned'
    finetuned(folder, tiny_clip, True, custom_hooks=[*cfg.custom_hooks, dict(type='RetrievalReportHook')])
    measured = json.loads((folder / 'work' / 'zero_shot.json').read_text())['metrics']
    assert measured['t2v/MnR'] == expected['t2v/MnR'] and measured['v2t/MnR'] == expected['v2t/MnR']
