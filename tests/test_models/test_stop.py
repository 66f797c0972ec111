"""STOP against its public code, and what it must be offered."""
import copy
import json
from types import SimpleNamespace

import pytest
import torch
from helpers import merging_reference, official_reference
from helpers import stop_reference as reference
from helpers.clip import model_config, write_clip
from helpers.clips import batch
from mmengine.config import Config
from mmengine.runner.activation_checkpointing import turn_on_activation_checkpointing
from torch import Tensor, nn

from mmcma.engine.hooks import ActivationCheckpointHook
from mmcma.models.trained_state import trained_names
from mmcma.registry import MODELS
from mmcma.utils.errors import ConfigError

NECK = dict(type='STOP', max_frames=4, num_clip_prompts=2, num_frame_prompts=3, branch_dim=3)
HEAD = dict(type='RetrievalHead', similarity=dict(type='MeanPool'), loss=dict(type='SymmetricInfoNCE'))


def test_features_are_those_of_the_public_code(tmp_path, build):
    folder = official_reference.write_hf_folder(tmp_path, merging_reference.state(), merging_reference.IMAGE)
    model = build(model_config(folder, neck=reference.NECK, head=HEAD, data_preprocessor=dict(
        type='RetrievalDataPreprocessor'))).eval()
    reference.fill_neck(model.neck)
    frames, ids = merging_reference.inputs()
    golden = json.loads(reference.GOLDEN.read_text())
    with torch.no_grad():
        found = dict(vision=model.vision_backbone(frames)[:, 0], text=model.text_backbone(ids, ids != 0).pooled)
        for part in (model.neck.pixels.to_pixels[2], model.neck.between.to_prompts[2]):  # each of them matters
            for parameter in part.parameters():
                parameter.zero_()
            assert (model.vision_backbone(frames)[:, 0] - found['vision']).abs().max() > 0.01
    for side, tensor in found.items():
        torch.testing.assert_close(tensor, torch.tensor(golden[side]), atol=2e-5, rtol=1e-5)


def test_parameter_count_on_vit_b32(build, tmp_path):
    """On two layers, from which the count on twelve follows."""
    clip = write_clip(tmp_path, vision_width=768, text_width=512, vision_layers=2, text_layers=2, image_size=224,
                      patch_size=32)
    neck = build(model_config(clip, neck=dict(type='STOP'), head=HEAD)).neck
    layer = (8 + 48) * 768 + sum(2 * 32 * width + 32 + 1 + width for width in (768, 512))
    space = 12 * 768 ** 2 + 13 * 768 + 768 * 1536 + 1536 + 1536 * 512 + 512
    pixels = 363 * (3 * 9 + 9 * 9 + 9 * 9 + 9 * 16) + 9 + 9 + 9 + 16 + 2 + 16 * 16 + 16 + 1 + 16 * 3 + 3
    between = 4 * 768 ** 2 + 4 * 768 + 1125 * (9 + 9) + 9 + 1 + 1 + 49 * 16 + 16 + 1 + 16 * 4 + 4 + 605 + 1
    rest = 4 * 768 + space + pixels + between
    assert sum(p.numel() for p in neck.parameters()) == 2 * layer + rest
    assert 12 * layer + rest == 13_079_712


@pytest.fixture(scope='module')
def clip(tmp_path_factory) -> str:
    """16 patches of 8 pixels."""
    return write_clip(tmp_path_factory.mktemp('stop'), image_size=32, patch_size=8)


def small(clip, **changes):
    torch.manual_seed(5)  # what chooses patches is drawn and kept
    model = MODELS.build(model_config(clip, **{'neck': NECK, 'head': HEAD, **changes}))
    for parameter in model.neck.parameters():
        nn.init.normal_(parameter, std=0.1)
    for part in model.neck.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    return model


def gradients(model) -> dict[str, Tensor]:
    model.train().zero_grad()
    model(**model.data_preprocessor(batch(3, frames=4), True), mode='loss')['loss'].backward()
    return {name: p.grad.clone() for name, p in model.trainable_parameters().items()}


def test_parts_of_a_batch_and_recomputed_layers_have_the_same_gradients(clip):
    plain, model = gradients(small(clip)), small(clip, micro_batch_size=2)
    towers = ['vision_backbone', 'text_backbone']
    turn_on_activation_checkpointing(model, towers)
    ActivationCheckpointHook().before_train(SimpleNamespace(cfg=Config(dict(activation_checkpointing=towers)),
                                                            model=model))
    for name, found in gradients(model).items():
        assert plain[name].any(), name
        torch.testing.assert_close(found, plain[name], rtol=1e-3, atol=1e-6, msg=name)


def test_bf16_and_a_copy_after_a_step(clip):
    model = small(clip, precision='bf16')
    assert all(gradient.isfinite().all() for gradient in gradients(model).values())
    copy.deepcopy(model)


def test_what_chooses_patches_is_kept_with_the_trained_weights(clip):
    assert {'neck.pixels.chooser_weight', 'neck.pixels.chooser_bias'} <= set(trained_names(small(clip)))


def test_a_clip_is_the_same_alone_and_beside_others_and_padding_is_not_seen(clip):
    model, pixels = small(clip).eval(), torch.randn(2, 4, 3, 32, 32)
    mask = torch.tensor([[True, True, True, True], [True, True, False, False]])
    with torch.no_grad():
        both = model.vision_backbone(pixels, mask)
        assert both.shape == (2, 1, 32)
        torch.testing.assert_close(model.vision_backbone(pixels[:1]), both[:1])
        changed = pixels.masked_fill(~mask[..., None, None, None], 3.0)
        torch.testing.assert_close(model.vision_backbone(changed, mask), both)


def test_it_compiles_in_one_piece(clip):
    torch._dynamo.reset()
    tower = small(clip).eval().vision_backbone
    pixels = torch.randn(2, 4, 3, 32, 32)
    with torch.no_grad():
        compiled = torch.compile(tower, backend='eager', fullgraph=True)(pixels)
        torch.testing.assert_close(compiled, tower(pixels))


def test_without_it_the_tower_is_as_it_was(clip, build):
    model, plain = small(clip).eval(), build(model_config(clip, neck=None)).eval()
    frames = torch.randint(0, 256, (2, 4, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad(), model.zero_shot():
        assert torch.equal(model.encode_visual(frames).tokens, plain.encode_visual(frames).tokens)


def test_an_image_is_a_clip_of_one_frame(clip):
    model = small(clip).eval()
    with torch.no_grad():
        assert model.encode_visual(torch.zeros(2, 1, 3, 32, 32, dtype=torch.uint8)).tokens.isfinite().all()


def test_choosing_all_patches_is_refused(clip, build):
    with pytest.raises(ConfigError, match='STOP.num_chosen=16 must be less than the 16 patches of a frame'):
        build(model_config(clip, neck=dict(NECK, num_chosen=16), head=HEAD))


def test_a_head_of_many_frames_is_refused(clip, build):
    head = dict(HEAD, similarity=dict(type='TopKFrames', k=3))
    with pytest.raises(ConfigError, match='STOP leaves 1 token.* and TopKFrames needs 3'):
        build(model_config(clip, neck=NECK, head=head))
