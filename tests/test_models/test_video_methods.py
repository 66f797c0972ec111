"""Methods that know of clips: against their public code and plain loops, and what they must be offered."""
import copy
import json
import math
from types import SimpleNamespace

import pytest
import torch
from helpers import official_reference
from helpers import video_method_reference as reference
from helpers.architectures import write_dual
from helpers.clip import model_config
from helpers.clips import CAPTIONS, FRAMES, batch
from mmengine.config import Config
from mmengine.runner.activation_checkpointing import turn_on_activation_checkpointing
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mmcma.engine.hooks import ActivationCheckpointHook
from mmcma.models import DGL, DiscoVLA, PromptSwitch, VideoVoP, VoP
from mmcma.models.batch_encoding import encode_described
from mmcma.models.necks.frame_captions import caption_scores
from mmcma.models.necks.video_vop import ContextPrompts
from mmcma.utils.errors import ConfigError

MEAN_HEAD = dict(type='RetrievalHead', similarity=dict(type='MeanPool'), loss=dict(type='SymmetricInfoNCE'))
ENDS = dict(num_prompts=3, num_prefix=2, num_suffix=1)
NECKS = {
    'vop': dict(type='VoP', **ENDS),
    'vop-p': dict(type='VideoVoP', frame_prompts='position', num_frame_prompts=2, max_frames=4, **ENDS),
    'vop-c': dict(type='VideoVoP', frame_prompts='context', num_frame_prompts=2, **ENDS),
    'vop-f': dict(type='VideoVoP', frame_prompts=None, clip_layers=1, **ENDS),
    'vop-fc': dict(type='VideoVoP', frame_prompts='context', num_frame_prompts=1, clip_layers=1, **ENDS),
    'dgl': dict(type='DGL', max_frames=4, num_clip_prompts=2, num_frame_prompts=3),
    'dgl-linear': dict(type='DGL', space='linear', max_frames=4),
    'discovla': dict(type='DiscoVLA', lora_rank=3, clip_layers=1),
    'discovla-captions': dict(type='DiscoVLA', lora_rank=3, clip_layers=1, frame_captions=True, caption_layers=1),
    'prompt-switch': dict(type='PromptSwitch', num_prompts=3)}
HALF_CLIP = torch.tensor([[True, True, False], [True, True, True]])


def released(tmp_path, build, case: str):
    """The model of a case and what its public code computed."""
    model = build(model_config(official_reference.write_hf_folder(tmp_path), neck=reference.CASES[case], head=MEAN_HEAD,
                               data_preprocessor=dict(type='RetrievalDataPreprocessor'))).eval()
    reference.fill_neck(model.neck)
    return model, {side: torch.tensor(rows) for side, rows in json.loads(reference.GOLDEN.read_text())[case].items()}


@pytest.mark.parametrize('case', [case for case in reference.CASES if case != 'discovla-captions'])
def test_features_are_those_of_the_public_code(tmp_path, build, case):
    model, golden = released(tmp_path, build, case)
    ids = reference.captions(case)
    with torch.no_grad():
        found = dict(vision=model.vision_backbone(reference.clips(case)).flatten(0, 1),
                     text=model.text_backbone(ids, ids != 0).pooled)
    for side, expected in golden.items():
        torch.testing.assert_close(found[side], expected, atol=2e-5, rtol=1e-5)


def test_losses_of_captions_of_frames_are_those_of_the_public_code(tmp_path, build):
    model, golden = released(tmp_path, build, 'discovla-captions')
    clips, own = reference.clips('discovla-captions'), reference.frame_captions()
    ids = torch.cat([reference.captions('discovla-captions')[:len(clips), None], own], dim=1)  # (B, 1 + T, L)
    inputs = dict(pixels=clips, mask=torch.ones(clips.shape[:2], dtype=torch.bool), token_ids=ids, token_mask=ids != 0)
    with torch.no_grad():
        losses = model(inputs, batch(len(clips))['data_samples'], mode='loss')
        text = encode_described(model.neck, model._encode_tokens, ids, ids != 0, inputs['mask'])
    torch.testing.assert_close(text.extra['frame_captions'].flatten(0, 1), golden['captions'], atol=2e-5, rtol=1e-5)
    found = torch.stack([losses[f'loss_{name}'] for name in ('retrieval', 'image', 'distillation')])
    torch.testing.assert_close(found, golden['losses'][0], atol=2e-5, rtol=1e-5)


@pytest.fixture
def method(tiny_clip, build):
    """Builds the small CLIP with a method whose weights all matter."""
    def make(name: str, **changes):
        model = build(model_config(tiny_clip, **{'neck': NECKS[name], 'head': MEAN_HEAD, **changes}))
        torch.manual_seed(5)
        for parameter in model.neck.parameters():
            nn.init.normal_(parameter, std=0.3)
        return model.eval()
    return make


@torch.no_grad()
def tokens_of(model, frames: Tensor = FRAMES, mask: Tensor | None = None) -> Tensor:
    return model.encode_visual(frames, mask).tokens


def own_tokens(neck: VideoVoP, layer: int, classes: Tensor) -> Tensor:
    """A layer's tokens of each frame ``(B * T, P, width)``, worked out from the weights."""
    clips, frames = classes.unflatten(0, (-1, 3)), neck.num_frame_prompts
    if neck.frame_prompts == 'position':
        own = neck.frames.tokens[layer].view(4, frames, -1)[:3].expand(len(clips), -1, -1, -1)
    else:
        lstm = both_ways(neck.context)
        own = neck.context.to_tokens(lstm(clips)[0]).unflatten(-1, (frames, -1))
    shared = neck.vision.tokens[layer].expand(*own.shape[:2], -1, -1)
    return torch.cat([shared, own], dim=2).flatten(0, 1)


def both_ways(context: ContextPrompts) -> nn.LSTM:
    """PyTorch's LSTM of two directions with the weights of ours."""
    lstm = nn.LSTM(context.forwards.input_size, context.forwards.hidden_size, batch_first=True, bidirectional=True)
    lstm.load_state_dict({**context.forwards.state_dict(), **{
        f'{name}_reverse': x for name, x in context.backwards.state_dict().items()}})
    return lstm


@pytest.mark.parametrize('name', ['vop-p', 'vop-c', 'vop-fc'])
@torch.no_grad()
def test_prompts_of_clips_are_a_plain_loop_over_the_layers(method, name):
    model = method(name)
    neck, tower, found = model.neck, model.vision_backbone, tokens_of(model)
    pixels = model.data_preprocessor.normalise(FRAMES)
    with model.zero_shot():
        x = tower.encoder.embeddings(pixels.flatten(0, 1))
        x = torch.cat([x[:, :1], own_tokens(neck, 0, x[:, 0]), x[:, 1:]], dim=1)
        x = tower.blocks[0](tower.encoder.pre_layrnorm(x), None)
        if name == 'vop-fc':
            x = torch.cat([x[:, :1], x[:, 4:]], dim=1)
            clips = torch.cat([neck.clip.tokens[0].expand(2, -1, -1), x.reshape(2, -1, x.shape[-1])], dim=1)
            x = tower.blocks[1](clips, None)[:, 3:].reshape(x.shape)
        else:
            x = tower.blocks[1](torch.cat([x[:, :1], own_tokens(neck, 1, x[:, 0]), x[:, 4:]], dim=1), None)
        expected = tower.projection(tower.encoder.post_layernorm(x[:, 0])).view_as(found)
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, found.flip(1), atol=1e-2)


@torch.no_grad()
def test_context_is_read_in_both_orders_without_padding():
    context, classes, lengths = ContextPrompts(count=2, width=6), torch.randn(3, 4, 6), torch.tensor([4, 1, 3])
    found = context(classes, torch.arange(4) < lengths[:, None])
    packed = pack_padded_sequence(classes, lengths, batch_first=True, enforce_sorted=False)
    read, _ = pad_packed_sequence(both_ways(context)(packed)[0], batch_first=True)
    for row, length in enumerate(lengths):
        torch.testing.assert_close(found[row, :length],
                                   context.to_tokens(read[row, :length]).unflatten(-1, (2, -1)))


@pytest.mark.parametrize('name', NECKS)
def test_a_clip_is_the_same_alone_and_beside_others(method, name):
    model = method(name)
    torch.testing.assert_close(tokens_of(model)[1:], tokens_of(model, FRAMES[1:]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('name', [name for name in NECKS if name != 'prompt-switch'])
def test_padding_frames_are_not_seen(method, name):
    model, other = method(name), FRAMES.clone()
    other[0, 2] = 255 - other[0, 2]
    found, changed = tokens_of(model, FRAMES, HALF_CLIP), tokens_of(model, other, HALF_CLIP)
    if model.neck.clip_tokens is None:
        found, changed = found[HALF_CLIP], changed[HALF_CLIP]
    torch.testing.assert_close(found, changed)
    assert not torch.equal(tokens_of(model), tokens_of(model, other))


@pytest.mark.parametrize('name', [name for name in NECKS if name != 'vop'])
def test_frames_are_related(method, name):
    """Another last frame changes what the first one, or the clip, is."""
    model, other = method(name), FRAMES.clone()
    other[:, 2] = 255 - other[:, 2]
    if name == 'vop-p':
        assert not torch.allclose(tokens_of(model, FRAMES[:, :1].expand(-1, 3, -1, -1, -1)).diff(dim=1),
                                  torch.zeros(()), atol=1e-2)
    else:
        assert not torch.allclose(tokens_of(model)[:, 0], tokens_of(model, other)[:, 0], atol=1e-3)


@pytest.mark.parametrize('name', NECKS)
def test_without_the_neck_the_towers_are_as_they_were(method, build, tiny_clip, name):
    model, plain = method(name), build(model_config(tiny_clip, neck=None)).eval()
    with torch.no_grad(), model.zero_shot():
        assert torch.equal(tokens_of(model), tokens_of(plain))
        assert torch.equal(model.encode_text(CAPTIONS).pooled, plain.encode_text(CAPTIONS).pooled)


def step(model) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss and gradients of a training batch whose second clip has a padding frame."""
    data = model.train().data_preprocessor(batch(size=4, frames=3), True)
    data['inputs']['mask'][1, 2] = False
    loss, _ = model.parse_losses(model(**data, mode='loss'))
    loss.backward()
    return loss.detach(), {name: p.grad for name, p in model.trainable_parameters().items()}


def assert_equal(found, expected) -> None:
    torch.testing.assert_close(found[0], expected[0], rtol=1e-5, atol=1e-6)
    rounding = 1e-5 * max(gradient.abs().max().item() for gradient in expected[1].values())
    for name, gradient in expected[1].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-4, atol=rounding, msg=name)


@pytest.mark.parametrize('name', NECKS)
def test_parts_of_a_batch_recomputed_in_bf16_and_float32(method, name):
    """Gradients of the whole batch, of its parts with recomputed layers, and, roughly, of autocast."""
    whole = step(method(name))
    assert all(gradient is not None and gradient.any() for gradient in whole[1].values())
    model = method(name, micro_batch_size=3)
    turn_on_activation_checkpointing(model, ['vision_backbone', 'text_backbone'])
    ActivationCheckpointHook().before_train(SimpleNamespace(
        cfg=Config(dict(activation_checkpointing=['vision_backbone', 'text_backbone'])), model=model))
    assert_equal(step(model), whole)
    half = step(method(name, precision='bf16'))
    torch.testing.assert_close(half[0], whole[0], rtol=0.1, atol=0.1)
    assert all(gradient.isfinite().all() for gradient in half[1].values())


@pytest.mark.parametrize('name', NECKS)
def test_a_copy_has_weights_of_its_own(method, name):
    model = method(name)
    twin, before = copy.deepcopy(model), tokens_of(model)
    assert torch.equal(tokens_of(twin), before)
    for parameter in twin.neck.parameters():
        nn.init.normal_(parameter, std=0.2)
    assert not torch.allclose(tokens_of(twin), before) and torch.equal(tokens_of(model), before)


@pytest.mark.slow
@pytest.mark.parametrize('name', NECKS)
def test_towers_compile_in_one_piece_but_for_lstms(method, name):
    torch._dynamo.reset()
    whole = not hasattr(method(name).neck, 'context')
    model = method(name)
    ids, mask = model.data_preprocessor.tokenise(CAPTIONS)
    with torch.no_grad():
        for tower, given in ((model.vision_backbone, (torch.randn(2, 3, 3, 32, 32),)),
                             (model.text_backbone, (ids, mask))):
            plain = tower(*given)
            compiled = torch.compile(tower, backend='eager', fullgraph=whole)(*given)
            torch.testing.assert_close(getattr(compiled, 'pooled', compiled), getattr(plain, 'pooled', plain))


def test_captions_of_frames_compile_in_one_piece(method):
    torch._dynamo.reset()
    model = method('discovla-captions')
    data = model.data_preprocessor(batch(size=2, frames=3), True)['inputs']
    found = []
    for tower in (model.text_backbone, torch.compile(model.text_backbone, backend='eager', fullgraph=True)):
        with torch.no_grad():
            found.append(encode_described(model.neck, tower, data['token_ids'], data['token_mask'], data['mask']))
    torch.testing.assert_close(found[0].extra['frame_captions'], found[1].extra['frame_captions'])


@pytest.mark.parametrize('name', ['dgl', 'vop'])
def test_words_are_as_with_a_mask_that_is_written_out(method, tiny_clip, name):
    """Eager attention gets the causal mask as a tensor, which has to grow with the prompts."""
    eager = dict(type='HFTextTower', pretrained=tiny_clip, attn_implementation='eager')
    with torch.no_grad():
        torch.testing.assert_close(method(name, text_backbone=eager).encode_text(CAPTIONS).pooled,
                                   method(name).encode_text(CAPTIONS).pooled)


@pytest.mark.parametrize('name', ['dgl', 'discovla', 'vop-f'])
def test_adapters_work_beside_them(method, name):
    """What another method has at the attention of a layer stays there."""
    adapters = dict(type='CrossModalAdapter', bottleneck_dim=2, shared_dim=4)
    model = method(name, neck=dict(type='CombinedNeck', necks=[NECKS[name], adapters]))
    before = tokens_of(model)
    for slot in model.neck.necks[1].parameters():
        nn.init.zeros_(slot)
    assert not torch.allclose(tokens_of(model), before, atol=1e-3)


@pytest.mark.parametrize('name, message', [
    ('vop-p', r'VideoVoP.max_frames=4, but clips have 6 frames: set it to 6 or more'),
    ('dgl', r'DGL.max_frames=4, but clips have 6 frames: set it to 6 or more')])
def test_longer_clips_than_there_are_positions_are_refused(method, name, message):
    with pytest.raises(ConfigError, match=message):
        tokens_of(method(name), FRAMES.repeat(1, 2, 1, 1, 1))


def test_a_clip_that_the_cube_does_not_divide_is_refused(method):
    with pytest.raises(ConfigError, match='num_prompts=3 does not divide the 2 frames of a clip: change it, or num_f'):
        tokens_of(method('prompt-switch'), FRAMES[:, :2])


@pytest.mark.parametrize('kind, arguments, message', [
    (VoP, dict(num_prompts=0), r'VoP.num_prompts=0 must be at least 1'),
    (VoP, dict(num_suffix=-1), r'VoP.num_suffix=-1 must be 0 or more'),
    (VideoVoP, dict(num_frame_prompts=9), r'num_frame_prompts=9 is more than num_prompts=8'),
    (VideoVoP, dict(frame_prompts=None), r'clip_layers=0 relates no frames: take VoP'),
    (VideoVoP, dict(frame_prompts='position'), r"max_frames=None must be the most frames of a clip with frame_pro"),
    (DGL, dict(space='linear', num_prefix=2), r"num_prefix=2 must be num_frame_prompts=4 with space='linear'"),
    (DGL, dict(num_postfix=-1), r'DGL.num_postfix=-1 must be 0 or more'),
    (DiscoVLA, dict(clip_layers=0), r'DiscoVLA.clip_layers=0 must be at least 1'),
    (PromptSwitch, dict(num_prompts=0), r'PromptSwitch.num_prompts=0 must be at least 1')])
def test_values_out_of_range_are_refused(kind, arguments, message):
    with pytest.raises(ConfigError, match=message):
        kind(**arguments)


@pytest.mark.parametrize('neck, message', [
    (dict(type='VideoVoP', clip_layers=3), r"clip_layers=3 must be from 0 to 2, the layers of the vision tower"),
    (dict(type='DiscoVLA', clip_layers=3), r'clip_layers=3 does not fit: the vision tower .* has 2 layers'),
    (dict(type='VoP', num_prefix=30, num_suffix=8), r'VoP: 38 learned tokens leave no room for a word in the 40 tok')])
def test_what_does_not_fit_the_towers_is_refused(tiny_clip, build, neck, message):
    with pytest.raises(ConfigError, match=message):
        build(model_config(tiny_clip, neck=neck, head=MEAN_HEAD))


def dual_config(folder: str, neck: dict) -> dict:
    return model_config(folder, neck=neck, head=MEAN_HEAD, data_preprocessor=dict(type='RetrievalDataPreprocessor'))


@pytest.mark.parametrize('architecture, neck, message', [
    ('siglip', dict(type='DGL'), r'DGL relates the class tokens .* shows no class token or no parts of its layers'),
    ('siglip', dict(type='VoP'), r'VoP.num_suffix=4 moves the feature behind the end token, .* set num_suffix=0'),
    ('chinese_clip', dict(type='VoP'), r'VoP.num_suffix=4 moves the feature behind the end token'),
    ('chinese_clip', dict(type='DGL'), r'DGL puts tokens between the words of a causal text tower, and .* is none'),
    ('chinese_clip', dict(type='DiscoVLA', clip_layers=1), r'DiscoVLA changes queries.* none: take a CLIP, or LoRA')])
def test_towers_of_another_kind_are_refused_with_the_way_out(tmp_path, build, architecture, neck, message):
    with pytest.raises(ConfigError, match=message):
        build(dual_config(write_dual(tmp_path, architecture), neck))


@pytest.mark.parametrize('architecture', ['clip', 'metaclip_2'])
def test_what_stands_behind_the_end_token_is_pooled(tmp_path, build, architecture):
    """Its place is the last that the mask shows; the caption alone has the same feature."""
    model = build(dual_config(write_dual(tmp_path, architecture), dict(type='VoP', num_prefix=2, num_suffix=2))).eval()
    ids, mask = model.data_preprocessor.tokenise(CAPTIONS)
    with torch.no_grad():
        text = model.text_backbone(ids, mask, with_tokens=True)
        assert text.mask.sum(dim=1).tolist() == (mask.sum(dim=1) + 4).tolist()
        torch.testing.assert_close(text.tokens[torch.arange(2), text.mask.sum(dim=1) - 1], text.pooled)
        torch.testing.assert_close(model.encode_text(CAPTIONS[1:]).pooled, text.pooled[1:])


def test_vop_without_suffix_takes_every_tower(tmp_path, build):
    model = build(dual_config(write_dual(tmp_path, 'siglip'), dict(type='VoP', num_suffix=0)))
    assert model.encode_text(CAPTIONS).pooled.shape == (2, 32)


def test_captions_of_padding_frames_are_not_seen(method):
    """Neither by their neighbours nor in the losses."""
    losses = []
    for last in ('moon', 'a blue die on the left'):
        model = method('discovla-captions')
        data = batch(size=4, frames=3)
        for sample in data['data_samples']:
            sample.frame_mask = torch.tensor([True, True, False])
            sample.frame_captions = ['a red star', 'nothing', last]
        losses.append({name: loss.item() for name, loss in model(
            **model.data_preprocessor(data, True), mode='loss').items()})
    assert losses[0] == losses[1] and losses[0]['loss_image'] > 0 and losses[0]['loss_distillation'] > 0


def test_scores_of_frames_and_captions_worked_by_hand():
    """Two frames and captions at right angles; the second clip has one frame, that fits the first clip's first."""
    captions = torch.tensor([[[1., 0], [0, 1]], [[0, 2], [5, 5]]])
    frames = torch.tensor([[[3., 0], [0, 1]], [[1, 0], [7, 7]]])
    mask = torch.tensor([[True, True], [True, False]])
    found = caption_scores(captions, frames, mask, torch.tensor(math.log(3)))
    # Clip 0 with itself: both find a cosine of 1. Its captions and the frame of clip 1: cosines 1 and 0, with shares
    # 3/4 and 1/4; that frame finds 1. The caption of clip 1 finds 1 in clip 0; the frames there find 0 and 1 in it.
    torch.testing.assert_close(found, torch.tensor([[1., 0.875], [0.875, 0.]]))


def test_samples_without_captions_of_frames_are_refused(method):
    model, data = method('discovla-captions'), batch()
    del data['data_samples'][1].frame_captions
    with pytest.raises(ConfigError, match="the item 'v1' brings no captions of its frames, and the neck compares "
                                          'those: add LoadFrameCaptions to the pipeline of train_dataloader.dataset'):
        model.data_preprocessor(data, True)
    model.test_step(data)


@pytest.mark.parametrize('changes, error', [
    (dict(caption_layers=9), r'DiscoVLA.caption_layers=9 does not fit: the text tower .* has 2 layers'),
    (dict(image_weight=-1.0), r'DiscoVLA.image_weight=-1.0 must be at least 0'),
    (dict(distillation_weight=-0.5), r'DiscoVLA.distillation_weight=-0.5 must be at least 0')])
def test_what_the_losses_of_frames_refuse(method, changes, error):
    with pytest.raises(ConfigError, match=error):
        method('discovla-captions', neck={**NECKS['discovla-captions'], **changes})


def test_prompts_in_captions_do_not_go_with_captions_of_frames(method):
    both = dict(type='CombinedNeck', necks=[NECKS['discovla-captions'], dict(type='CoOp')])
    with pytest.raises(ConfigError, match='CoOp puts tokens into captions, and DiscoVLA counts on the places of '):
        method('discovla-captions', neck=both)
    model = method('discovla-captions', neck=dict(type='CombinedNeck', necks=[
        NECKS['discovla-captions'], dict(type='VPT', num_prompts=2)]))
    assert 'loss_image' in model(**model.data_preprocessor(batch(), True), mode='loss')
