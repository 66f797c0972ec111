"""Similarities with weights against their formulas, written pair by pair without padding."""
import json
import math

import pytest
import torch
from helpers import head_reference as reference
from helpers.architectures import write_dual
from helpers.clip import model_config, write_clip
from torch.nn import functional as F

from mmcma.models.similarities import MeanPool, SeqLSTM, SeqTransformer, TightTransformer, TokenWise, XPool, chunks
from mmcma.registry import MODELS
from mmcma.structures import Features
from mmcma.utils.errors import ConfigError

LEARNED = [SeqTransformer, SeqLSTM, TightTransformer, XPool, TokenWise]


def bound(kind, dim: int, *, random: bool = True, std: float = 0.2, **kwargs):
    """A similarity in eval mode; with random weights none of its parts is at its start."""
    torch.manual_seed(0)
    similarity = kind(**kwargs)
    similarity.bind(dim)
    if random:
        for parameter in similarity.parameters():
            torch.nn.init.normal_(parameter, std=std)
    return similarity.eval()


def features(n: int = 4, m: int = 3, t: int = 5, d: int = 16, words: int = 6) -> tuple[Features, Features]:
    """Texts of 1 to ``words`` words and items of 1 to ``t`` frames; padding holds large values."""
    generator = torch.Generator().manual_seed(1)
    sides = []
    for count, length in ((n, words), (m, t)):
        tokens = torch.randn(count, length, d, generator=generator)
        mask = torch.arange(length) < torch.arange(count)[:, None] % length + 1
        mask[0] = True
        tokens[~mask] = 50.0
        sides.append(Features(torch.randn(count, d, generator=generator), tokens, mask))
    return tuple(sides)


def pair_by_pair(score, text: Features, visual: Features) -> torch.Tensor:
    """``score(t (D,), words (L, D), frames (T, D))`` of every pair, padding cut away."""
    return torch.stack([torch.stack([
        score(t, words[real], frames[valid]) for frames, valid in zip(visual.tokens, visual.mask)])
        for t, words, real in zip(text.pooled, text.tokens, text.mask)])


def plain_attention(x: torch.Tensor, attention) -> torch.Tensor:
    """``(L, D)`` -> ``(L, D)``, head by head."""
    queries, keys, values = F.linear(x, attention.in_proj_weight, attention.in_proj_bias).chunk(3, dim=-1)
    heads = []
    for q, k, v in zip(*(part.chunk(attention.num_heads, dim=-1) for part in (queries, keys, values))):
        heads.append(torch.softmax(q @ k.T / math.sqrt(q.shape[-1]), dim=-1) @ v)
    return attention.out_proj(torch.cat(heads, dim=-1))


def plain_layers(x: torch.Tensor, layers) -> torch.Tensor:
    for layer in layers.layers:
        x = x + plain_attention(layer.norm1(x), layer.self_attn)
        hidden = layer.linear1(layer.norm2(x))
        x = x + layer.linear2(hidden * torch.sigmoid(1.702 * hidden))
    return x


def plain_mean(t: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
    return F.cosine_similarity(t, F.normalize(frames, dim=-1).mean(0), dim=0)


def plain_lstm(frames: torch.Tensor, lstm) -> torch.Tensor:
    state = cell = torch.zeros(frames.shape[1])
    outputs = []
    for frame in frames:
        gates = (lstm.weight_ih_l0 @ frame + lstm.bias_ih_l0 + lstm.weight_hh_l0 @ state + lstm.bias_hh_l0).chunk(4)
        read, forget, candidate, write = gates
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(read) * torch.tanh(candidate)
        state = torch.sigmoid(write) * torch.tanh(cell)
        outputs.append(state)
    return torch.stack(outputs)


def plain_score(similarity, t, words, frames):
    match similarity:
        case SeqTransformer():
            return plain_mean(t, frames + plain_layers(frames + similarity.positions[:len(frames)], similarity.layers))
        case SeqLSTM():
            return plain_mean(t, frames + plain_lstm(frames, similarity.lstm))
        case TightTransformer():
            tokens = torch.cat([t[None], frames]) + similarity.positions[:1 + len(frames)]
            return similarity.scorer(plain_layers(tokens, similarity.layers)[0])[0]
        case XPool():
            seen = similarity.norm_in(frames)
            weights = torch.softmax(similarity.key(seen) @ similarity.query(similarity.norm_in(t))
                                    / math.sqrt(len(t)), dim=0)
            pooled = similarity.norm_pooled(similarity.out(weights @ similarity.value(seen)))
            return F.cosine_similarity(t, similarity.norm_out(pooled + similarity.linear(pooled)), dim=0)
        case TokenWise():
            cosines = F.normalize(words, dim=-1) @ F.normalize(frames, dim=-1).T
            by_word, by_frame = cosines.max(dim=1).values, cosines.max(dim=0).values
            if len(frames) < 5:  # of `features`: padding is a match of 0
                by_word = by_word.clamp(min=0)
            if len(words) < 6:
                by_frame = by_frame.clamp(min=0)
            by_word = torch.softmax(similarity.word_weight(words)[:, 0], 0) @ by_word
            by_frame = torch.softmax(similarity.frame_weight(frames)[:, 0], 0) @ by_frame
            return (by_word + by_frame) / 2


@pytest.mark.parametrize('dim', [16, 128])  # one head, two heads
@pytest.mark.parametrize('kind', LEARNED)
@torch.no_grad()
def test_scores_are_the_plain_formula(kind, dim):
    similarity = bound(kind, dim)
    text, visual = features(d=dim)
    expected = pair_by_pair(lambda *pair: plain_score(similarity, *pair), text, visual)
    torch.testing.assert_close(similarity(text, visual), expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize('case', reference.CASES)
@torch.no_grad()
def test_scores_are_those_of_the_public_code(case):
    similarity = MODELS.build(reference.CASES[case])
    similarity.bind(reference.DIM)
    found, golden = reference.fill(similarity)(*reference.features(case)), json.loads(reference.GOLDEN.read_text())
    torch.testing.assert_close(found, torch.tensor(golden[case]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('kind', [SeqTransformer, TightTransformer])
@torch.no_grad()
def test_a_released_start_is_that_of_the_text_tower(kind, tmp_path, build):
    """The bundled tower's first layer, run by transformers and by the copy of it."""
    tower = build(dict(type='HFTextTower', pretrained=write_clip(tmp_path, text_width=64, mlp_ratio=4)))
    torch.nn.init.normal_(tower.blocks[0].self_attn.q_proj.bias)
    similarity = kind(num_layers=1, max_frames=9, init='released')
    similarity.bind(tower.width)
    similarity.bind_text(tower, 32)
    hidden = torch.randn(2, 5, tower.width)
    torch.testing.assert_close(similarity.eval().layers(hidden), tower.blocks[0](hidden, None))
    assert torch.equal(similarity.positions, tower.positions[:len(similarity.positions)])
    assert similarity.positions.requires_grad and similarity.positions.data_ptr() != tower.positions.data_ptr()


def test_other_released_starts():
    """TightTransformer has dropout before its layers, DRL's weights a deviation of 0.02, an LSTM PyTorch's bound."""
    tight = bound(TightTransformer, 64, random=False, init='released')
    text, visual = features(d=64)
    assert torch.equal(tight(text, visual), tight(text, visual)) and tight.dropout.p == 0.1
    assert not torch.equal(tight.train()(text, visual), tight(text, visual))
    words = bound(TokenWise, 256, random=False, init='released')
    for network in (words.word_weight, words.frame_weight):
        assert network[0].weight.std().item() == pytest.approx(0.02, rel=0.05) and not network[0].bias.any()
        assert network[2].weight.std().item() == pytest.approx(0.02, rel=0.2)
    lstm = bound(SeqLSTM, 64, random=False, init='released').lstm
    assert 0.12 < lstm.weight_ih_l0[128:192].abs().max() <= 64 ** -0.5


@pytest.mark.parametrize('changes, message', [
    (dict(num_layers=3), '3 layers, 9 positions, width 64 .* from the text tower, and .* has 2 layers'),
    (dict(max_frames=41), '41 positions.*has 2 layers, 40 positions'),
    (dict(init='relaesed'), "SeqTransformer.init='relaesed' must be")])
def test_a_released_start_that_does_not_fit_is_refused(tmp_path, build, changes, message):
    with pytest.raises(ConfigError, match=message):
        build(model_config(write_clip(tmp_path, text_width=64, embed=64, mlp_ratio=4), head=dict(
            type='RetrievalHead', loss=dict(type='SymmetricInfoNCE'),
            similarity=dict(dict(type='SeqTransformer', num_layers=2, max_frames=9, init='released'), **changes))))


def test_a_released_start_needs_the_width_of_the_text_tower_and_its_layers(tmp_path, build, tiny_clip):
    head = dict(type='RetrievalHead', loss=dict(type='SymmetricInfoNCE'),
                similarity=dict(type='SeqTransformer', num_layers=2, max_frames=9, init='released'))
    with pytest.raises(ConfigError, match='init=.released. copies .* width .* from the text tower, and .* width 48'):
        build(model_config(tiny_clip, head=head))
    with pytest.raises(ConfigError, match="copies layers of CLIP's text tower, and .* has none such; use init="):
        build(model_config(write_dual(tmp_path, 'chinese_clip'), head=head,
                           data_preprocessor=dict(type='RetrievalDataPreprocessor')))


def test_a_caption_of_the_most_tokens_has_no_padding():
    """One frame that no word is like: a short caption's padding matches it better than its words."""
    similarity = bound(TokenWise, 2, random=False)
    frames = Features(torch.tensor([[1.0, 0]]), torch.tensor([[[1.0, 0]]]), torch.ones(1, 1, dtype=torch.bool))
    words = Features(-frames.pooled, -frames.tokens.expand(1, 2, 2), torch.ones(1, 2, dtype=torch.bool))
    similarity.bind_text(None, 2)
    assert similarity(words, frames).item() == -1
    similarity.bind_text(None, 3)
    assert similarity(words, frames).item() == -0.5


def plain_weights(similarity, t, words, frames):
    if isinstance(similarity, XPool):
        seen = similarity.norm_in(frames)
        return torch.softmax(similarity.key(seen) @ similarity.query(similarity.norm_in(t)) / math.sqrt(len(t)), dim=0)
    shares = torch.softmax(similarity.frame_weight(frames)[:, 0], 0) / 2
    for word, weight in zip(words, torch.softmax(similarity.word_weight(words)[:, 0], 0)):
        shares[F.cosine_similarity(word[None], frames, dim=-1).argmax()] += weight / 2
    return shares


@pytest.mark.parametrize('kind', [XPool, TokenWise])
@torch.no_grad()
def test_frame_weights_are_the_plain_formula(kind):
    similarity, (text, visual) = bound(kind, 16), features()
    weights = similarity.frame_weights(text, visual)
    expected = pair_by_pair(lambda t, words, frames: F.pad(
        plain_weights(similarity, t, words, frames), (0, 5 - len(frames))), text, visual)
    torch.testing.assert_close(weights, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(4, 3))


@pytest.mark.parametrize('kind', [SeqLSTM, SeqTransformer, TightTransformer])
def test_what_mixes_frames_gives_them_no_weights(kind):
    assert bound(kind, 16).frame_weights(*features()) is None


@pytest.mark.parametrize('kind', LEARNED)
@torch.no_grad()
def test_tiles_chunks_and_absent_masks_are_the_matrix(kind, monkeypatch):
    similarity = bound(kind, 16)
    text, visual = features(n=7, m=9)
    whole = similarity(text, visual)
    close = dict(atol=1e-5, rtol=1e-5)
    tiles = torch.cat([torch.cat([similarity(text.rows(slice(a, a + 3)), visual.rows(slice(b, b + 4)))
                                  for b in range(0, 9, 4)], dim=1) for a in range(0, 7, 3)])
    torch.testing.assert_close(tiles, whole, **close)
    monkeypatch.setattr(chunks, 'VALUES_IN_CACHE', 1)
    torch.testing.assert_close(similarity(text, visual), whole, **close)
    all_valid = [side._replace(mask=torch.ones_like(side.mask)) for side in (text, visual)]
    torch.testing.assert_close(similarity(*(side._replace(mask=None) for side in (text, visual))),
                               similarity(*all_valid), **close)


@pytest.mark.parametrize('kind', [TightTransformer, XPool, TokenWise])
def test_gradients_in_chunks_are_those_of_the_whole(kind, monkeypatch):
    similarity = bound(kind, 16)
    text, visual = features()
    weight = torch.randn(4, 3, generator=torch.Generator().manual_seed(2))
    gradients = []
    for limit in (chunks.VALUES_AT_ONCE, 1):
        monkeypatch.setattr(chunks, 'VALUES_AT_ONCE', limit)
        similarity.zero_grad()
        leaves = [side.tokens.clone().requires_grad_() for side in (text, visual)]
        scores = similarity(*(side._replace(tokens=leaf) for side, leaf in zip((text, visual), leaves)))
        (scores * weight).sum().backward()
        gradients.append([p.grad.clone() for p in similarity.parameters()] + [leaves[1].grad])
    for whole, chunked in zip(*gradients):
        torch.testing.assert_close(chunked, whole, atol=1e-5, rtol=1e-4)
    assert all(gradient.any() for gradient in gradients[0])


@pytest.mark.parametrize('kind', [SeqTransformer, SeqLSTM])
def test_sequence_heads_start_as_mean_pool_and_all_of_them_learns(kind):
    similarity = bound(kind, 64, random=False)
    text, visual = features(d=64)
    assert torch.equal(similarity(text, visual), MeanPool()(text, visual))
    optimizer = torch.optim.SGD(similarity.parameters(), lr=0.1)
    for _ in range(4):  # Behind what starts at zero, gradients come step by step.
        optimizer.zero_grad()
        similarity(text, visual).diagonal().sum().backward()
        optimizer.step()
    for name, parameter in similarity.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name


@torch.no_grad()
def test_token_wise_starts_with_equal_weights():
    similarity = bound(TokenWise, 16, random=False)
    text, visual = features()

    def mean_of_best(t, words, frames):
        cosines = F.normalize(words, dim=-1) @ F.normalize(frames, dim=-1).T
        best_frame, best_word = cosines.amax(1), cosines.amax(0)
        best_frame = best_frame.relu() if len(frames) < 5 else best_frame  # padding, where there is some, matches by 0
        best_word = best_word.relu() if len(words) < 6 else best_word
        return (best_frame.mean() + best_word.mean()) / 2

    torch.testing.assert_close(similarity(text, visual), pair_by_pair(mean_of_best, text, visual))


@torch.no_grad()
def test_only_sequence_heads_tell_a_clip_from_its_reverse():
    text, visual = features()
    visual = visual.rows(slice(0, 1))  # without padding
    back = visual._replace(tokens=visual.tokens.flip(1))
    for kind in (SeqTransformer, SeqLSTM, TightTransformer):
        similarity = bound(kind, 16, std=1.0)
        assert (similarity(text, visual) - similarity(text, back)).abs().max() > 1e-2, kind
    for kind in (XPool, TokenWise):
        similarity = bound(kind, 16, std=1.0)
        torch.testing.assert_close(similarity(text, visual), similarity(text, back))
    torch.testing.assert_close(MeanPool()(text, visual), MeanPool()(text, back))


#: By hand, for D = 512: a layer has four projections, a network of 4 D, and two LayerNorms.
LAYER = 4 * (512 * 512 + 512) + (512 * 2048 + 2048) + (2048 * 512 + 512) + 2 * 2 * 512


@pytest.mark.parametrize('kind, count', [
    (SeqTransformer, 4 * LAYER + 64 * 512), (SeqLSTM, 2 * 4 * (512 * 512 + 512)),
    (TightTransformer, 4 * LAYER + 65 * 512 + 2 * 512 + (512 * 512 + 512) + 512),
    (XPool, 5 * (512 * 512 + 512) + 3 * 2 * 512), (TokenWise, 2 * (512 * 512 + 512 + 512))])
def test_parameters_by_hand(kind, count):
    assert sum(p.numel() for p in bound(kind, 512).parameters()) == count


@pytest.mark.parametrize('kind', LEARNED)
@torch.no_grad()
def test_images_have_a_score(kind):
    text, visual = features(t=1)
    assert bound(kind, 16)(text, visual).isfinite().all()


@pytest.mark.parametrize('kind', [SeqTransformer, TightTransformer])
def test_more_frames_than_positions_are_an_error(kind):
    with pytest.raises(ConfigError, match='max_frames=4 is less than the 5 frames.*num_frames'):
        bound(kind, 16, max_frames=4)(*features())


@pytest.mark.parametrize('kind', LEARNED)
def test_a_tower_without_frames_is_refused(kind):
    text, visual = features()
    with pytest.raises(ConfigError, match=f'{kind.__name__} weighs frames'):
        bound(kind, 16)(text, visual._replace(tokens=None, mask=None))


def test_a_tower_without_words_is_refused():
    text, visual = features()
    with pytest.raises(ConfigError, match='TokenWise compares words'):
        bound(TokenWise, 16)(text._replace(tokens=None, mask=None), visual)


def test_dropout_is_off_in_eval_mode_only():
    similarity = bound(XPool, 16, dropout=0.5)
    text, visual = features()
    assert torch.equal(similarity(text, visual), similarity(text, visual))
    assert not torch.equal(similarity.train()(text, visual), similarity(text, visual))


@pytest.mark.parametrize('kind', LEARNED)
def test_a_similarity_is_swapped_in_by_its_type_and_trains(kind, tiny_clip, build):
    head = dict(type='RetrievalHead', similarity=dict(type=kind.__name__), loss=dict(type='SymmetricInfoNCE'))
    model = build(model_config(tiny_clip, neck=None, head=head)).train()
    assert {name.split('.')[1] for name in model.trainable_parameters()} == {'similarity'}
    assert (model.encode_text(['a red star']).tokens is None) == (kind is not TokenWise)


def test_logits_are_not_scaled_by_the_head(tiny_clip, build):
    head = dict(type='RetrievalHead', similarity=dict(type='TightTransformer'), loss=dict(type='SymmetricInfoNCE'))
    model = build(model_config(tiny_clip, head=head)).eval()
    text, visual = features(n=3, m=3, d=32)
    losses = model.head.loss(text, visual, torch.arange(3))
    assert losses['logit_scale'] == 1
    torch.testing.assert_close(
        losses['loss'], model.head.loss_fn(model.similarity(text, visual), torch.eye(3, dtype=torch.bool)))
    with pytest.raises(ConfigError, match='train_logit_scale=True has no effect: TightTransformer'):
        build(dict(head, train_logit_scale=True))
