"""TempMe against its public code, token merging by hand, and what it goes together with."""
import copy
import json
from types import SimpleNamespace

import pytest
import torch
from helpers import merging_reference as reference
from helpers import official_reference
from helpers.architectures import write_dual
from helpers.clip import model_config, write_clip
from helpers.clips import batch
from mmengine.config import Config
from mmengine.runner.activation_checkpointing import turn_on_activation_checkpointing
from torch import Tensor, nn

from mmcma.engine.hooks import ActivationCheckpointHook
from mmcma.models import TempMe
from mmcma.models.necks.token_merging import match, merge
from mmcma.registry import MODELS
from mmcma.utils.errors import ConfigError
from mmcma.visualization.patch_attention import patch_attention

NECK = dict(type='TempMe', num_frames=4, merge_layers=(1, 2), merge_frames=(2, 2), lora_rank=2)
CMA = dict(type='CrossModalAdapter', bottleneck_dim=4, shared_dim=8)


def test_merging_by_hand():
    """Place 0 stays; of 2 and 4, even places after it, 4 is the more like an odd one, and of 1, 3, 5 most like 5."""
    x = torch.tensor([[[9.0, 9], [1, 0], [1, 3], [0, 1], [2, 2.1], [4, 4]]])
    sizes = torch.tensor([[[1.0], [1], [1], [1], [1], [3]]])
    matching = match(x, 1, first=1)
    assert matching.rest.tolist() == [[0, 2, 1, 3, 5]] and matching.merged.tolist() == [[4]]
    assert matching.into.tolist() == [[4]]
    merged, counts = merge(x, sizes, matching)
    expected = torch.tensor([[[9.0, 9], [1, 3], [1, 0], [0, 1], [3.5, 14.1 / 4]]])  # (2 + 3 * 4) / 4, (2.1 + 12) / 4
    torch.testing.assert_close(merged, expected)
    assert counts.flatten().tolist() == [1, 1, 1, 1, 4]


def test_merging_nothing_orders_alone():
    x = torch.randn(2, 7, 5)
    merged, sizes = merge(x, torch.ones(2, 7, 1), match(x, 0, first=2))
    torch.testing.assert_close(merged, x[:, [0, 1, 2, 4, 6, 3, 5]])
    assert (sizes == 1).all()


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> str:
    return official_reference.write_hf_folder(tmp_path_factory.mktemp('merging'), reference.state(), reference.IMAGE)


def with_updates(model):
    """The model with the reference's weights in TempMe's places."""
    with torch.no_grad():
        for name, updates in reference.updates().items():
            for lora, (down, up) in zip(getattr(model.neck, name), updates):
                lora.down.weight.copy_(down)
                lora.up.weight.copy_(up)
        for place in model.neck.positions.values():
            place.copy_(reference.positions(len(place)))
    return model.eval()


@pytest.mark.parametrize('case', reference.CASES)
def test_features_are_those_of_the_public_code(build, folder, case):
    neck = dict(type='TempMe', num_frames=reference.FRAMES, lora_rank=reference.RANK, **reference.CASES[case])
    model = with_updates(build(model_config(folder, neck=neck, data_preprocessor=dict(
        type='RetrievalDataPreprocessor'))))
    frames, ids = reference.inputs()
    golden = json.loads(reference.GOLDEN.read_text())[case]
    with torch.no_grad():
        vision, text = model.vision_backbone(frames), model.text_backbone(ids, ids != 0).pooled
        with model.zero_shot():
            assert (model.vision_backbone(frames) - vision).abs().max() > 0.1
    vision = nn.functional.normalize(vision, dim=-1)
    for found, side in ((vision, 'vision'), (text, 'text')):
        torch.testing.assert_close(found.flatten(), torch.tensor(golden[side]), atol=1e-5, rtol=1e-5)


def test_parameter_count_on_vit_b(build, tmp_path):
    """The released code's on 12 layers of 768 and 512 channels, worked out on two layers."""
    clip = write_clip(tmp_path, vision_width=768, text_width=512, vision_layers=2, text_layers=2)
    neck = build(model_config(clip, neck=dict(type='TempMe', merge_layers=(0, 1), merge_frames=(2, 6)))).neck
    lora = 2 * 4 * 8 * (768 + 512)
    assert sum(p.numel() for p in neck.parameters()) == lora + (12 + 6) * 768
    # On 12 layers, with 12, 6 and 3 frames before the three merge layers: the paper says 0.50 M.
    assert 6 * lora + (12 + 6 + 3) * 768 == 507_648


def small(tiny_clip, neck=NECK, **changes):
    """A CLIP of 4 patches with the method, whose weights all matter."""
    model = MODELS.build(model_config(tiny_clip, neck=neck, **changes))
    torch.manual_seed(5)
    for parameter in model.trainable_parameters().values():
        nn.init.normal_(parameter, std=0.3)
    return model


@pytest.fixture(scope='module')
def deep_clip(tmp_path_factory) -> str:
    """Three layers and 16 patches."""
    return write_clip(tmp_path_factory.mktemp('deep'), vision_layers=3, text_layers=2, image_size=32, patch_size=8)


def gradients(model) -> dict[str, Tensor]:
    model.train().zero_grad()
    model(**model.data_preprocessor(batch(4, frames=4), True), mode='loss')['loss'].backward()
    return {name: p.grad.clone() for name, p in model.trainable_parameters().items()}


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize('neck', [NECK, dict(type='CombinedNeck', necks=[dict(NECK, lora_rank=0), CMA])],
                         ids=['alone', 'with CMA'])
def test_parts_of_a_batch_and_recomputed_layers_have_the_same_gradients(deep_clip, neck):
    plain = gradients(small(deep_clip, neck))
    assert all(gradient.any() for gradient in plain.values())
    assert_equal(gradients(small(deep_clip, neck, micro_batch_size=3)), plain)
    model = small(deep_clip, neck)
    turn_on_activation_checkpointing(model, ['vision_backbone'])
    ActivationCheckpointHook().before_train(SimpleNamespace(
        cfg=Config(dict(activation_checkpointing=['vision_backbone'])), model=model))
    assert_equal(gradients(model), plain)


def test_bf16_merges_too(deep_clip):
    found = gradients(small(deep_clip, precision='bf16'))
    assert all(gradient.any() and gradient.isfinite().all() for gradient in found.values())


@pytest.mark.slow
def test_it_compiles_in_one_piece_and_a_copy_is_equal(deep_clip):
    torch._dynamo.reset()
    model = small(deep_clip).eval()
    pixels = torch.randn(2, 4, 3, 32, 32)
    with torch.no_grad():
        plain = model.vision_backbone(pixels)
        torch.testing.assert_close(copy.deepcopy(model).vision_backbone(pixels), plain)
        compiled = torch.compile(model.vision_backbone, backend='eager', fullgraph=True)
        torch.testing.assert_close(compiled(pixels), plain)


def test_frames_of_padding_change_nothing(deep_clip):
    model = small(deep_clip).eval()
    pixels = torch.randn(2, 4, 3, 32, 32)
    mask = torch.tensor([[True, True, True, True], [True, True, False, False]])
    with torch.no_grad():
        found = [model.vision_backbone(pixels.masked_fill(~mask[..., None, None, None], grey), mask)[1, :2]
                 for grey in (0.0, 0.5)]
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)


def test_an_image_is_joined_to_nothing(deep_clip):
    model = small(deep_clip).eval()
    with torch.no_grad():
        assert model.vision_backbone(torch.randn(2, 1, 3, 32, 32)).shape == (2, 1, 32)


def test_clips_of_another_length_are_refused(deep_clip):
    with pytest.raises(ConfigError, match='TempMe.num_frames=4 is not the 6 frames of the clips; set it and num_frames '
                                          'of LoadVideoFrames'):
        small(deep_clip).vision_backbone(torch.randn(1, 6, 3, 32, 32))


@pytest.mark.parametrize('changes, message', [
    (dict(merge_layers=(2, 1)), 'must be rising numbers'), (dict(merge_frames=(2, 3)), 'divides num_frames=4'),
    (dict(merge_frames=(2,)), 'for each of the 2 merge_layers'), (dict(across=0.6), 'must be from 0 to 0.5'),
    (dict(lora_rank=-1), 'must be 0 or more')])
def test_arguments_out_of_range_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        TempMe(**{key: value for key, value in {**NECK, **changes}.items() if key != 'type'})


def test_layers_that_are_not_there_are_refused(tiny_clip, build):
    with pytest.raises(ConfigError, match=r'TempMe.merge_layers=\(1, 2\) does not fit: the vision tower has 2 layers'):
        build(model_config(tiny_clip, neck=NECK))


def test_towers_without_class_token_are_refused(build, tmp_path):
    config = model_config(write_dual(tmp_path, 'siglip'), data_preprocessor=dict(type='RetrievalDataPreprocessor'),
                          neck=NECK)
    with pytest.raises(ConfigError, match='keeps the class tokens of frames, and the vision tower .* names none'):
        build(config)


@pytest.mark.parametrize('other', [dict(type='STAdapter', bottleneck_dim=4), dict(type='VPT', depth=1),
                                   dict(type='MVAdapter', bottleneck_dim=4, max_frames=4)],
                         ids=lambda neck: neck['type'])
def test_methods_that_count_on_frames_and_places_are_refused_beside_it(deep_clip, build, other):
    for necks in ([NECK, other], [other, NECK]):
        with pytest.raises(ConfigError, match=f'TempMe merges tokens and frames, and {other["type"]} counts on'):
            build(model_config(deep_clip, neck=dict(type='CombinedNeck', necks=necks)))


def test_patches_that_were_merged_have_no_place_to_show(deep_clip):
    model = small(deep_clip).eval()
    frames = torch.zeros(1, 4, 3, 32, 32, dtype=torch.uint8)
    assert patch_attention(model, frames, layer=0).shape == (1, 4, 4, 4)
    with pytest.raises(ConfigError, match='layer=-1: TempMe has merged patches there'):
        patch_attention(model, frames)
