import pytest
import torch
from conftest import model_config
from mmengine.config import Config

from mmcma.apis import init_model
from mmcma.checkpoint import backbone_identity, trained_state
from mmcma.errors import ConfigError, WeightsError


@pytest.fixture
def config(tiny_clip) -> Config:
    return Config(dict(model=model_config(tiny_clip)))


def test_without_a_checkpoint_the_model_is_zero_shot(config, build):
    model, plain = init_model(config), build(dict(config.model, neck=None)).eval()
    assert not model.training
    with torch.no_grad():
        assert torch.equal(model.encode_text(['a star']).pooled, plain.encode_text(['a star']).pooled)


def test_with_a_checkpoint_it_is_the_trained_one(config, build, tmp_path):
    trained = build(config.model).eval()
    for parameter in trained.neck.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    torch.save(dict(state_dict=trained_state(trained), backbone=backbone_identity(trained)), tmp_path / 'a.pth')
    model = init_model(config, tmp_path / 'a.pth')
    with torch.no_grad():
        assert torch.equal(model.encode_text(['a star']).pooled, trained.encode_text(['a star']).pooled)


def test_errors_are_ours(config, tmp_path):
    with pytest.raises(WeightsError, match='does not exist'):
        init_model(config, tmp_path / 'none.pth')
    config.model.neck.type = 'CrosModalAdapter'
    with pytest.raises(ConfigError, match="Did you mean 'CrossModalAdapter'"):
        init_model(config)
