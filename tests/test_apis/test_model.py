"""What a model can be made from."""
from pathlib import Path

import pytest
import torch
from helpers.checkpoints import retrieval_config, trained_checkpoint
from mmengine.config import Config

from mmcma.apis import RetrievalInferencer, export_adapter, init_model
from mmcma.config import load_config
from mmcma.utils.errors import ConfigError, WeightsError

CONFIGS = Path(__file__).parents[2] / 'configs'


def features(model) -> torch.Tensor:
    with torch.no_grad():
        return model.encode_text(['a star', 'two moons']).pooled


@pytest.fixture
def config(tiny_clip) -> Config:
    return retrieval_config(tiny_clip)


def test_without_a_checkpoint_the_model_is_zero_shot(config, build):
    model, plain = init_model(config, device='cpu'), build(dict(config.model, neck=None)).eval()
    assert not model.training and model.cfg.model.neck is None and config.model.neck is not None
    assert torch.equal(features(model), features(plain))


def test_a_checkpoint_with_a_config_alone_or_exported_is_the_trained_model(config, tmp_path):
    checkpoint = trained_checkpoint(tmp_path, config)
    model = init_model(config, checkpoint, device='cpu')
    assert not torch.equal(features(model), features(init_model(config, device='cpu')))
    assert torch.equal(features(init_model(checkpoint, device='cpu')), features(model))
    export_adapter(model, tmp_path / 'adapter')
    assert torch.equal(features(init_model(tmp_path / 'adapter', device='cpu')), features(model))


def test_tiny_is_the_small_clip_as_its_configs_read_files():
    """It needs no config file; this one says the same of model and frames."""
    config = load_config(CONFIGS / 'cma' / 'cma_tiny_glyphmotion.py')
    named, plain = init_model('tiny', device='cpu'), init_model(config, device='cpu')
    assert torch.equal(features(named), features(plain))
    assert named.cfg.test_dataloader.dataset.pipeline == config.test_dataloader.dataset.pipeline
    assert RetrievalInferencer(named).fingerprint == RetrievalInferencer(plain).fingerprint


def test_a_hugging_face_folder_is_a_model_of_its_own_image_size(tiny_clip, config):
    model = init_model(tiny_clip, device='cpu')
    assert torch.equal(features(model), features(init_model(config, device='cpu')))
    assert model.cfg.test_dataloader.dataset.pipeline[1] == dict(type='ResizeCrop', size=32)


def test_a_backbone_that_has_moved(config, tiny_clip, tmp_path):
    export_adapter(init_model(trained_checkpoint(tmp_path, config), device='cpu'), tmp_path / 'a',
                   base_model='somebody/clip')
    model = init_model(tmp_path / 'a', device='cpu', base_model=tiny_clip)
    assert model.cfg.model.text_backbone.pretrained == tiny_clip
    config.model.text_backbone = dict(type='HFTextTower', pretrained='elsewhere/clip')
    with pytest.raises(ConfigError, match='the towers name .*, not one pretrained model'):
        init_model(config, base_model=tiny_clip)


@pytest.mark.parametrize('source, message', [
    ('tyny', r"model 'tyny': no such config .* Did you mean 'tiny'"),
    ('none.py', 'does not exist'),
])
def test_no_such_model(source, message):
    with pytest.raises(ConfigError, match=message):
        init_model(source)


def test_errors_are_ours(config, tmp_path):
    with pytest.raises(WeightsError, match='does not exist'):
        init_model(config, tmp_path / 'none.pth')
    with pytest.raises(WeightsError, match='neither adapter_config.json .* nor config.json'):
        init_model(tmp_path)
    torch.save(dict(state_dict={}), tmp_path / 'bare.pth')
    with pytest.raises(WeightsError, match='does not hold its config'):
        init_model(tmp_path / 'bare.pth')
    checkpoint = trained_checkpoint(tmp_path, config)
    with pytest.raises(ConfigError, match='has its own weights'):
        init_model(checkpoint, checkpoint)
    config.model.neck.type = 'CrosModalAdapter'
    with pytest.raises(ConfigError, match="Did you mean 'CrossModalAdapter'"):
        init_model(config)
