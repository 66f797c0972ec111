"""Exported folders: what is in them, and what is refused when one is read."""
import json

import pytest
import torch
from helpers.checkpoints import retrieval_config, trained_checkpoint
from safetensors.torch import load_file

from mmcma.apis import export_adapter, init_model
from mmcma.models.trained_state import trained_state
from mmcma.utils.errors import ConfigError, DataError, WeightsError

KEYS = [f'{direction}/{key}' for direction in ('t2v', 'v2t') for key in ('R@1', 'R@5', 'R@10', 'MdR', 'MnR')]


@pytest.fixture
def model(tiny_clip, tmp_path):
    return init_model(trained_checkpoint(tmp_path, retrieval_config(tiny_clip)), device='cpu')


def report(folder, fingerprint: str, **changes):
    content = dict(
        dataset='MSRVTT', split='test-1kA', checkpoint='best.pth', backbone=dict(name='x', fingerprint=fingerprint),
        results={'zero-shot': {key: 30.06 for key in KEYS}, 'adapted': {key: 42.25 for key in KEYS}},
        protocols=dict(t2v='every_caption', v2t='best_caption'), gallery=dict(present=995, expected=1000),
        num_captions=995)
    path = folder / 'report.json'
    path.write_text(json.dumps({**content, **changes}))
    return path


def edit(folder, **changes):
    path = folder / 'adapter_config.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_the_folder_holds_what_was_trained_and_says_on_what(model, tmp_path, tiny_clip):
    export_adapter(model, tmp_path / 'deep' / 'cma-msrvtt')
    folder = tmp_path / 'deep' / 'cma-msrvtt'
    assert sorted(file.name for file in folder.iterdir()) == [
        'README.md', 'adapter_config.json', 'adapter_model.safetensors']
    tensors, expected = load_file(folder / 'adapter_model.safetensors'), trained_state(model)
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in tensors.items())
    content = json.loads((folder / 'adapter_config.json').read_text())
    assert content['base_model_name_or_path'] == tiny_clip
    assert content['base_model_fingerprint'] == model.backbone_fingerprint()
    assert content['method'] == 'CrossModalAdapter' and content['metrics'] == {}
    assert content['config'] == json.loads(json.dumps(model.cfg.to_dict()))
    assert 'base_model:' not in (folder / 'README.md').read_text()  # a folder of this machine is no name on the Hub


def test_the_card_has_the_metrics_and_their_gallery(model, tmp_path):
    from huggingface_hub import ModelCard
    path = report(tmp_path, model.backbone_fingerprint())
    export_adapter(model, tmp_path / 'cma', base_model='openai/clip-vit-base-patch16', report=path)
    card = ModelCard.load(tmp_path / 'cma' / 'README.md')
    assert card.data.base_model == 'openai/clip-vit-base-patch16' and card.data.library_name == 'mmcma'
    results = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert results == {key: 42.25 for key in KEYS}
    assert '| zero-shot | text to visual | 30.1 |' in card.text and '995 of 1,000 items' in card.text


def test_a_report_of_another_model_is_refused(model, tmp_path):
    with pytest.raises(DataError, match='is of backbone beef, this model has'):
        export_adapter(model, tmp_path / 'cma', report=report(tmp_path, 'beef'))
    (tmp_path / 'report.json').write_text('[]')
    with pytest.raises(DataError, match='cannot be read .* report.json of a training or test'):
        export_adapter(model, tmp_path / 'cma', report=tmp_path / 'report.json')
    assert not (tmp_path / 'cma').exists()


def test_nothing_is_overwritten_and_nothing_untrained_is_written(model, tmp_path, tiny_clip):
    with pytest.raises(ConfigError, match='exists and is not empty'):
        export_adapter(model, tmp_path)
    with pytest.raises(ConfigError, match='nothing to export'):
        export_adapter(init_model(tiny_clip, device='cpu'), tmp_path / 'zero-shot')
    with model.zero_shot(), pytest.raises(ConfigError, match='nothing to export'):
        export_adapter(model, tmp_path / 'zero-shot')


def test_damaged_folders(model, tmp_path):
    folder = tmp_path / 'cma'
    export_adapter(model, folder)
    weights = folder / 'adapter_model.safetensors'
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-10])
    with pytest.raises(WeightsError, match='cut off, or no safetensors file'):
        init_model(folder)
    weights.unlink()
    with pytest.raises(WeightsError, match="adapter_model.safetensors' is missing"):
        init_model(folder)
    weights.write_bytes(whole)
    edit(folder, base_model_fingerprint='beef')
    with pytest.raises(WeightsError, match=r'was trained on backbone .*beef.*, this model has'):
        init_model(folder)
    edit(folder, format_version=2)
    with pytest.raises(WeightsError, match='format_version=2, this mmcma reads 1: update'):
        init_model(folder)
    (folder / 'adapter_config.json').write_text('{"peft_type": "LORA"}')
    with pytest.raises(WeightsError, match='was not written by `mmcma export`'):
        init_model(folder)
    (folder / 'adapter_config.json').write_text('{')
    with pytest.raises(WeightsError, match='cannot be read'):
        init_model(folder)


@pytest.mark.parametrize('part, value', [
    ('neck', dict(type='subprocess.Popen', args='true')),
    ('neck', dict(type='mmcma.checkpoints.checkpoint_file.torch.load', f='x')),
    ('neck', dict(type='CombinedNeck', necks=[dict(type='os.system', command='true')])),
    ('vision_backbone', dict(type='MMPretrainTower', embed_dim=32, trainable=True, backbone=dict(
        type='mmpretrain.VisionTransformer', init_cfg=dict(type='Pretrained', checkpoint='http://evil')))),
])
def test_a_folder_cannot_name_code_or_files_to_load(model, tmp_path, part, value):
    folder = tmp_path / 'cma'
    export_adapter(model, folder)
    config = json.loads((folder / 'adapter_config.json').read_text())['config']
    config['model'][part] = value
    edit(folder, config=config)
    with pytest.raises(ConfigError, match='is refused in an exported adapter'):
        init_model(folder)


def test_a_changed_bit_of_the_weights_is_damage(model, tmp_path):
    folder = tmp_path / 'cma'
    export_adapter(model, folder)
    weights = folder / 'adapter_model.safetensors'
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(WeightsError, match='is damaged: it differs from the weights_digest'):
        init_model(folder)
    content = json.loads((folder / 'adapter_config.json').read_text())
    del content['weights_digest']  # as in folders of before
    (folder / 'adapter_config.json').write_text(json.dumps(content))
    init_model(folder, device='cpu')


def test_a_part_of_a_notebook_is_not_exported(model, tmp_path, monkeypatch):
    monkeypatch.setattr('mmcma.models.necks.cross_modal_adapter.CrossModalAdapter.__module__', '__main__')
    with pytest.raises(ConfigError, match='move it to a module of its own'):
        export_adapter(model, tmp_path / 'cma')


def test_wrong_shapes_name_the_tensor(model, tmp_path):
    folder = tmp_path / 'cma'
    export_adapter(model, folder)
    config = json.loads((folder / 'adapter_config.json').read_text())['config']
    config['model']['neck']['bottleneck_dim'] = 5
    edit(folder, config=config)
    with pytest.raises(WeightsError, match=r"folder '.*cma': neck.slots.0.\S+ has shape .* this model needs"):
        init_model(folder)
