"""Many adapters on one backbone, exported and loaded: every method gives what it gives alone."""
import copy

import pytest
import torch
from helpers.checkpoints import retrieval_config, trained_checkpoint
from helpers.clip import write_clip
from helpers.small_configs import CONFIGS, each
from torch import Tensor

from mmcma.apis import RetrievalInferencer, export_adapter, init_model, load_adapter
from mmcma.config import load_config
from mmcma.models.trained_state import trained_state
from mmcma.utils.errors import ConfigError, WeightsError

TRAINED = [path for path in sorted(CONFIGS.glob('*/*_tiny_glyphmotion*.py')) if path.parent.name != 'zeroshot']


def scores(model, size: int = 64) -> Tensor:
    frames = torch.randint(0, 256, (2, 8, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        visual = model.encode_visual(frames, torch.arange(8) < torch.tensor([[5], [8]]))
        return model.similarity(model.encode_text(['a red star moves', 'the moon']), visual)


@pytest.fixture(scope='module')
def shared():
    """One backbone, which gathers the adapters of all tests below."""
    return init_model('tiny', device='cpu')


@pytest.mark.parametrize('path', each(TRAINED))
def test_every_method_is_exported_loaded_and_switched(path, shared, tmp_path):
    checkpoint, folder = trained_checkpoint(tmp_path, load_config(path)), tmp_path / path.stem
    alone = init_model(path, checkpoint, device='cpu')
    export_adapter(alone, folder)
    loaded = init_model(folder, device='cpu')
    expected, plain = scores(alone), scores(shared)
    assert torch.equal(scores(loaded), expected) and not torch.equal(plain, expected)
    assert RetrievalInferencer(loaded).fingerprint == RetrievalInferencer(alone).fingerprint
    if any(name.startswith(('vision_', 'text_')) for name in trained_state(alone)):
        with pytest.raises(WeightsError, match='shares its backbone with no other'):
            load_adapter(shared, path.stem, folder)
    else:
        load_adapter(shared, path.stem, folder)
        with shared.adapter(path.stem):
            assert shared.active_adapter == path.stem
            assert torch.equal(scores(shared), expected)
    assert shared.active_adapter == 'default' and torch.equal(scores(shared), plain)


@pytest.fixture
def two(tiny_clip, tmp_path):
    """A model with the adapters 'default' (r = 4) and 'wide' (r = 8), and their checkpoints."""
    narrow = retrieval_config(tiny_clip)
    wide = retrieval_config(tiny_clip, neck=dict(type='CrossModalAdapter', bottleneck_dim=8, shared_dim=16),
                            data_preprocessor=dict(type='RetrievalDataPreprocessor', max_words=5))
    paths = [trained_checkpoint(tmp_path, narrow, 'narrow.pth'), trained_checkpoint(tmp_path, wide, 'wide.pth', seed=1)]
    model = init_model(paths[0], device='cpu')
    load_adapter(model, 'wide', paths[1])
    return model, paths


def test_adapters_of_different_size_share_the_towers(two):
    model, paths = two
    wide = init_model(paths[1], device='cpu')
    names, plain = set(model.state_dict()), scores(model, 32)
    tower = model.vision_backbone
    with model.adapter('wide'):
        assert model.vision_backbone is tower and model.data_preprocessor.limit == 5
        assert torch.equal(scores(model, 32), scores(wide, 32))
        assert set(trained_state(model)) == set(trained_state(wide))
        assert all(torch.equal(value, trained_state(model)[name]) for name, value in trained_state(wide).items())
    assert set(model.state_dict()) == names and torch.equal(scores(model, 32), plain)
    assert model.adapter_names == ['default', 'wide']


def test_the_adapter_before_comes_back_after_an_error_and_when_nested(two):
    model, _ = two
    plain = scores(model, 32)
    with pytest.raises(KeyError), model.adapter('wide'), model.adapter('default'):
        assert torch.equal(scores(model, 32), plain)
        raise KeyError
    assert model.active_adapter == 'default'
    with model.zero_shot():
        bare = scores(model, 32)
        with model.adapter('wide'):
            assert not torch.equal(scores(model, 32), bare)
        assert torch.equal(scores(model, 32), bare)
    assert torch.equal(scores(model, 32), plain)


def test_a_copy_switches_by_itself(two):
    model, _ = two
    twin = copy.deepcopy(model)
    twin.use_adapter('wide')
    torch.nn.init.zeros_(next(twin.neck.parameters()))
    assert model.active_adapter == 'default'
    assert torch.equal(scores(twin, 32), scores(copy.deepcopy(twin), 32))
    changed = scores(twin, 32)
    model.use_adapter('wide')
    assert not torch.equal(scores(model, 32), changed)


def test_what_could_not_be_loaded_leaves_nothing_behind(two, tmp_path):
    model, paths = two
    plain = scores(model, 32)
    checkpoint = torch.load(paths[1], weights_only=True)
    name = next(iter(checkpoint['state_dict']))
    del checkpoint['state_dict'][name]
    torch.save(checkpoint, tmp_path / 'short.pth')
    with pytest.raises(WeightsError, match=rf"short.pth' does not hold what this model trains: missing \['{name}'"):
        load_adapter(model, 'short', tmp_path / 'short.pth')
    assert torch.equal(scores(model, 32), plain) and model.adapter_names == ['default', 'wide']


def test_two_methods_on_one_place_are_refused_within_an_adapter(two, tiny_clip, tmp_path):
    model, _ = two
    plain = scores(model, 32)
    config = retrieval_config(tiny_clip, neck=dict(type='CombinedNeck', necks=[
        dict(type='CrossModalAdapter'), dict(type='BottleneckAdapter')]))
    torch.save(dict(state_dict={}, meta=dict(cfg=config.pretty_text)), tmp_path / 'both.pth')
    with pytest.raises(ConfigError, match='CrossModalAdapter and BottleneckAdapter both rewrite the output of vision'):
        load_adapter(model, 'both', tmp_path / 'both.pth')
    assert torch.equal(scores(model, 32), plain)


def test_another_backbone_is_refused(two, tmp_path):
    model, _ = two
    other = retrieval_config(write_clip(tmp_path / 'other', seed=1))
    with pytest.raises(WeightsError, match='was trained on backbone .*other.* this model has'):
        load_adapter(model, 'other', trained_checkpoint(tmp_path, other))


def test_names(two, tiny_clip):
    model, paths = two
    with pytest.raises(ConfigError, match="'wdie' is not loaded; .* Did you mean 'wide'"), model.adapter('wdie'):
        pass
    for taken in ('wide', 'default'):
        with pytest.raises(ConfigError, match=f'{taken!r} is there already'):
            load_adapter(model, taken, paths[1])
    with pytest.raises(WeightsError, match='holds no trained weights'):
        load_adapter(model, 'plain', tiny_clip)


def test_towers_that_train_take_no_further_adapter(tiny_clip, tmp_path):
    config = retrieval_config(tiny_clip, neck=None,
                              text_backbone=dict(type='HFTextTower', pretrained=tiny_clip, trainable='norm'))
    model = init_model(trained_checkpoint(tmp_path, config), device='cpu')
    adapter = trained_checkpoint(tmp_path, retrieval_config(tiny_clip), 'adapter.pth')
    with pytest.raises(ConfigError, match='model.text_backbone of this model trains itself'):
        load_adapter(model, 'adapter', adapter)
