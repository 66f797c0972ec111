"""Named parts of a tower that train, and what both towers offer to necks."""
import pytest
import torch
from helpers.clip import model_config

from mmcma.registry import MODELS
from mmcma.utils.errors import ConfigError


def names(tiny_clip: str, part) -> set[str]:
    model = MODELS.build(model_config(
        tiny_clip, neck=None, vision_backbone=dict(type='HFVisionTower', pretrained=tiny_clip, trainable=part)))
    return {name.removeprefix('vision_backbone.') for name in model.trainable_parameters()}


def test_parts_of_a_tower(tiny_clip):
    everything = names(tiny_clip, True)
    assert names(tiny_clip, False) == set()
    assert names(tiny_clip, 'projection') == {'projection.weight'}
    assert names(tiny_clip, 'bias') == {name for name in everything if name.endswith('.bias')}
    assert names(tiny_clip, 'norm') == {name for name in everything if 'norm' in name or 'layrnorm' in name}
    assert all(name.startswith(('encoder.', 'projection.')) for name in everything)


def test_last_layers_are_all_but_the_stem_and_the_layers_before(tiny_clip):
    """Two layers: the last one, the final norm and the projection; then both layers too, but not the stem."""
    last, both = names(tiny_clip, 'last_1_layers'), names(tiny_clip, 'last_2_layers')
    assert {name.split('.')[1] for name in last if name.startswith('encoder.')} == {'encoder', 'post_layernorm'}
    assert 'projection.weight' in last and not any('layers.0.' in name for name in last)
    assert {name.replace('layers.1.', 'layers.0.') for name in last} < both
    assert both == {name for name in names(tiny_clip, True) if 'embeddings' not in name and 'pre_layrnorm' not in name}

    assert names(tiny_clip, 'last_1_layers_alone') == {name for name in last if 'layers.1.' in name}


@pytest.mark.parametrize('part', ['last_0_layers', 'last_3_layers', 'last_3_layers_alone', 'biases', 'last_layers', 1])
def test_an_unknown_part_is_refused_with_the_choices(tiny_clip, part):
    with pytest.raises(ConfigError, match=rf"trainable='?{part}'?.*(1 to 2|'last_K_layers'|must be bool \| str)"):
        names(tiny_clip, part)


def test_text_tokens_are_those_of_the_pooled_token_at_its_place(tiny_clip, build):
    model = build(model_config(tiny_clip)).eval()
    ids, mask = model.data_preprocessor.tokenise(['a red star', 'moon'])
    with torch.no_grad():
        pooled = model.text_backbone(ids, mask)
        text = model.text_backbone(ids, mask, with_tokens=True)
    assert pooled.tokens is None and torch.equal(pooled.pooled, text.pooled)
    assert text.tokens.shape == (*ids.shape, 32) and torch.equal(text.mask, mask)
    last = mask.sum(1) - 1  # the end token
    torch.testing.assert_close(text.tokens[torch.arange(2), last], text.pooled)
