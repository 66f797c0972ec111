import pytest
import torch
from helpers.clip import TOKENIZER, clip_config, model_config, write_clip
from helpers.clips import batch

from mmcma.utils.errors import ConfigError, NonFiniteError, WeightsError


def test_three_modes(tiny_clip, build):
    model = build(model_config(tiny_clip))
    data = model.data_preprocessor(batch())
    losses = model(**data, mode='loss')
    assert losses['loss'].ndim == 0 and losses['loss'].requires_grad
    text, visual = model(**data, mode='tensor')
    assert text.pooled.shape == (3, 32) and visual.tokens.shape == (3, 2, 32) and visual.pooled.shape == (3, 32)
    sample = model(**data, mode='predict')[1]
    torch.testing.assert_close(sample.text_pooled, text.pooled[1:2])
    torch.testing.assert_close(sample.visual_tokens, visual.tokens[1])
    with pytest.raises(ValueError, match="mode='train'"):
        model(**data, mode='train')


def test_a_sample_holds_no_more_than_its_own_features(tiny_clip, build):
    """A view of the batch would pickle all of it."""
    head = dict(type='RetrievalHead', similarity=dict(type='TokenWise'), loss=dict(type='SymmetricInfoNCE'))
    model = build(model_config(tiny_clip, head=head))
    with torch.no_grad():
        samples = model(**model.data_preprocessor(batch()), mode='predict')
    for sample in samples:
        tensors = {key: value for key, value in sample.items() if isinstance(value, torch.Tensor)}
        assert {'visual_tokens', 'visual_mask', 'text_pooled', 'text_tokens', 'text_mask'} <= set(tensors)
        for key, value in tensors.items():
            assert value.untyped_storage().nbytes() == value.nbytes, key


def test_only_the_neck_trains_and_the_towers_stay_in_eval_mode(tiny_clip, build):
    model = build(model_config(tiny_clip)).train()
    assert all(name.startswith('neck.') for name in model.trainable_parameters())
    assert model.neck.training and not model.vision_backbone.training and not model.text_backbone.training
    assert not any(module.training for module in model.vision_backbone.modules())


def test_a_trainable_tower_trains_whole(tiny_clip, build):
    config = model_config(tiny_clip, neck=None)
    config['vision_backbone'] = dict(type='HFVisionTower', pretrained=tiny_clip, trainable=True)
    config['head'] = dict(config['head'], train_logit_scale=True)
    model = build(config).train()
    assert model.vision_backbone.training and not model.text_backbone.training
    names = {name.split('.')[0] for name in model.trainable_parameters()}
    assert names == {'vision_backbone', 'head'}


def test_zero_shot_is_the_library_model(tiny_clip, build):
    from transformers import AutoModel
    model, clip = build(model_config(tiny_clip)), AutoModel.from_pretrained(tiny_clip)
    frames = batch(2, 1)['inputs']
    pixels = (torch.stack(frames)[:, 0].float() / 255 - torch.tensor([0.48, 0.46, 0.41]).view(3, 1, 1)) \
        / torch.tensor([0.27, 0.26, 0.28]).view(3, 1, 1)
    tokens = model.text_backbone.tokenizer(['a red star', 'snow'], padding=True, return_tensors='pt')
    with torch.no_grad(), model.zero_shot():
        torch.testing.assert_close(model.encode_visual(torch.stack(frames)).pooled,
                                   clip.get_image_features(pixels).pooler_output)
        torch.testing.assert_close(model.encode_text(['a red star', 'snow']).pooled,
                                   clip.get_text_features(**tokens).pooler_output)
    assert model.head.logit_scale.item() == pytest.approx(clip.logit_scale.item())


def test_both_towers_are_read_once_and_models_share_nothing(tiny_clip, build, monkeypatch):
    from mmcma.models.backbones import pretrained
    reads = []
    original = pretrained._from_pretrained
    monkeypatch.setattr(pretrained, '_from_pretrained', lambda name: reads.append(name) or original(name))
    first, second = build(model_config(tiny_clip)), build(model_config(tiny_clip))
    assert reads == [tiny_clip] * 2
    assert {p.data_ptr() for p in first.parameters()}.isdisjoint({p.data_ptr() for p in second.parameters()})


def test_padding_of_captions_and_frames_changes_nothing(tiny_clip, build):
    model = build(model_config(tiny_clip)).eval()
    with torch.no_grad():
        alone = model.encode_text(['a red star']).pooled
        beside = model.encode_text(['a red star', 'a much longer caption, of many more words than the first']).pooled
        torch.testing.assert_close(alone[0], beside[0])
        frames = torch.stack(batch(1, 2)['inputs'])
        padded = torch.cat([frames, torch.zeros(1, 3, 3, 32, 32, dtype=torch.uint8)], dim=1)
        mask = torch.tensor([[True, True, False, False, False]])
        text, short, long = model.encode_text(['a']), model.encode_visual(frames), model.encode_visual(padded, mask)
        torch.testing.assert_close(short.pooled, long.pooled)
        torch.testing.assert_close(model.similarity(text, short), model.similarity(text, long))


def test_long_captions_are_cut_before_their_end_token(tiny_clip, build):
    model = build(model_config(tiny_clip, data_preprocessor=dict(type='RetrievalDataPreprocessor', max_words=6)))
    ids, mask = model.data_preprocessor.tokenise(['a red star above a blue moon', ''])
    assert ids.shape == (2, 6) and ids[0, 0] == 1367 and ids[0, -1] == 1368
    assert ids[1].tolist() == [1367] + [1368] * 5
    assert mask.tolist() == [[True] * 6, [True] * 2 + [False] * 4]


def test_bf16_is_near_fp32_and_returns_float32(tiny_clip, build):
    data = batch()
    results = []
    for precision in ('fp32', 'bf16'):
        model = build(model_config(tiny_clip, precision=precision))
        torch.manual_seed(0)
        for parameter in model.neck.parameters():
            torch.nn.init.normal_(parameter, std=0.05)
        text, visual = model(**model.data_preprocessor(data), mode='tensor')
        assert text.pooled.dtype == visual.tokens.dtype == torch.float32
        loss = model(**model.data_preprocessor(data), mode='loss')['loss']
        loss.backward()
        assert all(p.grad.dtype == torch.float32 for p in model.neck.parameters())
        results.append(model.similarity(text, visual).detach())
    assert not torch.equal(*results)
    torch.testing.assert_close(*results, atol=0.02, rtol=0)


def test_scores_are_float32_inside_someone_elses_autocast(tiny_clip, build):
    model = build(model_config(tiny_clip))
    with torch.no_grad():
        text, visual = model(**model.data_preprocessor(batch()), mode='tensor')
        expected = model.similarity(text, visual)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            assert torch.equal(model.similarity(text, visual), expected)


def test_nan_loss_names_the_items(tiny_clip, build):
    model = build(model_config(tiny_clip))
    torch.nn.init.constant_(next(model.neck.parameters()), float('nan'))
    with pytest.raises(NonFiniteError, match=r"\['v0', 'v1', 'v2'\]"):
        model(**model.data_preprocessor(batch()), mode='loss')


def test_fingerprint_tells_backbones_apart_and_ignores_the_neck(tiny_clip, tmp_path, build):
    other = write_clip(tmp_path / 'other', seed=1)
    a, b, c = (build(model_config(p)) for p in (tiny_clip, tiny_clip, other))
    torch.nn.init.ones_(next(b.neck.parameters()))
    assert a.backbone_fingerprint() == b.backbone_fingerprint() != c.backbone_fingerprint()


def test_fingerprint_ignores_the_dtype_of_storage(tiny_clip, build):
    model = build(model_config(tiny_clip))
    for parameter in model.parameters():
        parameter.data = parameter.data.bfloat16().float()
    before = model.backbone_fingerprint()
    assert model.to(torch.bfloat16).backbone_fingerprint() == before


@pytest.mark.parametrize('name, hint', [('/no/such/folder', 'no such folder'),
                                        ('nobody/no-such-model', 'hf download nobody/no-such-model')])
def test_missing_weights_say_the_fix(name, hint, build):
    with pytest.raises(WeightsError, match=hint):
        build(model_config(name))


def test_a_folder_that_is_no_model(tmp_path, build):
    with pytest.raises(WeightsError, match='holds no config.json'):
        build(model_config(str(tmp_path)))


def test_towers_that_do_not_fit(tiny_clip, build):
    config = model_config(tiny_clip)
    config['text_backbone'] = dict(type='HFTextTower', config=dict(clip_config(), projection_dim=16),
                                   tokenizer='mmcma/clip-tiny-glyphs')
    with pytest.raises(ConfigError, match='embeds in 32 dimensions'):
        build(config)


@pytest.mark.parametrize('changes, message', [
    (dict(precision='fp8'), "CrossModalRetriever.precision='fp8'"),
    (dict(data_preprocessor=dict(type='RetrievalDataPreprocessor', max_words=41)), 'max_words=41 exceeds'),
    (dict(data_preprocessor=dict(type='RetrievalDataPreprocessor', max_words=2)), 'max_words=2 leaves no room')])
def test_values_out_of_range(tiny_clip, build, changes, message):
    with pytest.raises(ConfigError, match=message):
        build(model_config(tiny_clip, **changes))


def test_state_dict_keys_of_the_backbone_do_not_change(tiny_clip, build):
    with_neck, without = build(model_config(tiny_clip)), build(model_config(tiny_clip, neck=None))
    assert {k for k in with_neck.state_dict() if not k.startswith('neck.')} == set(without.state_dict())


def test_from_scratch_there_is_no_pretrained_model_to_tell_apart(build):
    config = model_config('', neck=None)
    config['vision_backbone'] = dict(type='HFVisionTower', config=clip_config(), trainable=True)
    config['text_backbone'] = dict(type='HFTextTower', config=clip_config(), tokenizer=TOKENIZER, trainable=True)
    model = build(config)
    assert model.backbone_name == 'from scratch' and model.backbone_fingerprint() is None


def test_frozen_parts_of_a_trained_part_stay_in_eval_mode(tiny_clip, build):
    model = build(model_config(tiny_clip))
    layer = model.vision_backbone.blocks[0].layer_norm1
    layer.requires_grad_(True)
    model.train()
    assert layer.training and not model.vision_backbone.blocks[0].mlp.training


@pytest.mark.parametrize('similarity', ['QueryScore', 'TokenWise'])
def test_many_captions_are_encoded_by_length_and_come_back_in_order(tiny_clip, build, monkeypatch, similarity):
    head = dict(type='RetrievalHead', similarity=dict(type=similarity), loss=dict(type='SymmetricInfoNCE'))
    model = build(model_config(tiny_clip, head=head)).eval()
    captions = [f'{caption} {number}' for number in range(3) for caption in (
        'a red star', 'moon', 'a very small blue circle moves left and up', 'two stars', 'a moon falls')]
    with torch.no_grad():
        whole = model.encode_text(captions)
        monkeypatch.setattr('mmcma.models.retriever._CAPTIONS_AT_ONCE', 4)
        lengths = []
        model.text_backbone.register_forward_pre_hook(lambda module, args: lengths.append(args[0].shape))
        parts = model.encode_text(captions)
    assert [rows for rows, _ in lengths] == [4, 4, 4, 3]
    assert max(longest for _, longest in lengths[:-1]) < lengths[-1][1] / 2  # the long caption pads three others only
    torch.testing.assert_close(parts.pooled, whole.pooled, rtol=1e-5, atol=1e-5)
    if similarity == 'TokenWise':
        assert torch.equal(parts.mask, whole.mask)
        torch.testing.assert_close(parts.tokens[parts.mask], whole.tokens[whole.mask], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('similarity', ['QueryScore', 'TokenWise'])
def test_equal_captions_are_encoded_once_and_have_equal_features(tiny_clip, build, similarity):
    head = dict(type='RetrievalHead', similarity=dict(type=similarity), loss=dict(type='SymmetricInfoNCE'))
    model = build(model_config(tiny_clip, head=head)).eval()
    distinct = [f'a {word} star' for word in ('red', 'blue', 'very small and quickly moving', 'big')]
    captions = ['a red star', *distinct, *distinct[::-1], ' A  Red STAR ']
    encoded = []
    model.text_backbone.register_forward_pre_hook(lambda module, args: encoded.append(len(args[0])))
    with torch.no_grad():
        text = model.encode_text(captions)
        alone = model.encode_text(distinct)
    assert encoded == [4, 4]
    which = torch.tensor([0, 0, 1, 2, 3, 3, 2, 1, 0, 0])
    assert torch.equal(text.pooled, alone.pooled[which])
    if similarity == 'TokenWise':
        assert torch.equal(text.mask, alone.mask[which])
        assert torch.equal(text.tokens[text.mask], alone.tokens[which][text.mask])


def test_a_test_remembers_the_captions_of_earlier_batches(tiny_clip, build):
    model = build(model_config(tiny_clip)).eval()
    encoded = []
    model.text_backbone.register_forward_pre_hook(lambda module, args: encoded.append(len(args[0])))
    with torch.no_grad(), model.remembering_captions():
        first, again = (model(**model.data_preprocessor(batch()), mode='predict') for _ in range(2))
    assert encoded == [3]
    for one, other in zip(first, again):
        assert torch.equal(one.text_pooled, other.text_pooled) and one.caption_keys == other.caption_keys
    with torch.no_grad():
        model(**model.data_preprocessor(batch()), mode='predict')
    assert encoded == [3, 3]
