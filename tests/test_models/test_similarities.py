import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from mmcma.models.similarities import MeanPool, QueryScore, TopKFrames, chunks
from mmcma.structures import Features
from mmcma.utils.errors import ConfigError


def plain_query_score(text, frames, mask, temperature):
    """The released formula, text by text and item by item, in float64."""
    rows = []
    for t in text.double():
        row = []
        for f, keep in zip(frames.double(), mask):
            f = f[keep]
            weights = torch.softmax(f @ t / temperature, dim=0)
            row.append(F.cosine_similarity(t, weights @ f, dim=0))
        rows.append(torch.stack(row))
    return torch.stack(rows).float()


def plain_mean_pool(text, frames, mask):
    rows = [[F.cosine_similarity(t, F.normalize(f[keep], dim=-1).mean(0), dim=0) for f, keep in zip(frames, mask)]
            for t in text]
    return torch.tensor([[float(x) for x in row] for row in rows])


def random_case(seed, n, m, t, d, masked):
    generator = torch.Generator().manual_seed(seed)
    text = 3 * torch.randn(n, d, generator=generator)
    frames = 3 * torch.randn(m, t, d, generator=generator)
    mask = torch.ones(m, t, dtype=torch.bool)
    if masked:
        mask = torch.rand(m, t, generator=generator) > 0.4
        mask[:, 0] = True
    return text, frames, mask


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 5), st.integers(1, 6), st.integers(2, 16),
       st.booleans(), st.sampled_from([0.5, 5.0]))
def test_query_score_is_the_plain_formula(seed, n, m, t, d, masked, temperature):
    text, frames, mask = random_case(seed, n, m, t, d, masked)
    scores = QueryScore(temperature=temperature)(Features(text), Features(frames.mean(1), frames, mask))
    torch.testing.assert_close(scores, plain_query_score(text, frames, mask, temperature), atol=2e-5, rtol=1e-4)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 5), st.integers(1, 6), st.booleans())
def test_mean_pool_is_the_plain_formula(seed, n, m, t, masked):
    text, frames, mask = random_case(seed, n, m, t, 8, masked)
    scores = MeanPool()(Features(text), Features(frames.mean(1), frames, mask))
    torch.testing.assert_close(scores, plain_mean_pool(text, frames, mask), atol=1e-5, rtol=1e-4)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 5), st.integers(1, 6), st.booleans(),
       st.integers(1, 8))
def test_top_k_frames_are_the_mean_of_the_nearest(seed, n, m, t, masked, k):
    text, frames, mask = random_case(seed, n, m, t, 8, masked)
    expected = torch.empty(n, m)
    for i, query in enumerate(text):
        for j, (f, keep) in enumerate(zip(frames, mask)):
            f = F.normalize(f[keep], dim=-1)
            best = sorted(f, key=lambda frame: -float(frame @ query))[:k]
            expected[i, j] = F.cosine_similarity(query, torch.stack(best).mean(0), dim=0)
    scores = TopKFrames(k=k)(Features(text), Features(frames.mean(1), frames, mask))
    torch.testing.assert_close(scores, expected, atol=1e-5, rtol=1e-4)


def plain_weights(similarity, t, f):
    if isinstance(similarity, MeanPool):
        return torch.full((len(f),), 1 / len(f))
    if isinstance(similarity, QueryScore):
        return torch.softmax(f @ t / similarity.temperature, dim=0)
    cosines = F.cosine_similarity(t[None], f, dim=-1)
    nearest = torch.isin(torch.arange(len(f)), cosines.argsort(descending=True)[:similarity.k])
    return nearest / nearest.sum()


@pytest.mark.parametrize('similarity', [QueryScore(), MeanPool(), TopKFrames(k=3)])
@pytest.mark.parametrize('masked', [False, True])
def test_frame_weights_are_the_plain_formula(similarity, masked):
    text, frames, mask = random_case(4, 3, 5, 6, 8, masked)
    expected = torch.zeros(3, 5, 6)
    for i, t in enumerate(text):
        for j, (f, keep) in enumerate(zip(frames, mask)):
            expected[i, j, keep] = plain_weights(similarity, t, f[keep])
    found = similarity.frame_weights(Features(text), Features(frames.mean(1), frames, mask if masked else None))
    torch.testing.assert_close(found, expected)


def test_more_frames_asked_for_than_there_are_is_mean_pool():
    text, frames, mask = random_case(0, 4, 5, 6, 8, True)
    text, visual = Features(text), Features(frames.mean(1), frames, mask)
    torch.testing.assert_close(TopKFrames(k=7)(text, visual), MeanPool()(text, visual))


@pytest.mark.parametrize('similarity', [QueryScore(), MeanPool(), TopKFrames(k=2)])
@pytest.mark.parametrize('tile', [1, 3, 4])
def test_tiles_are_the_matrix(similarity, tile):
    text, frames, mask = random_case(0, 7, 9, 5, 16, True)
    text, visual = Features(text), Features(frames.mean(1), frames, mask)
    whole = similarity(text, visual)
    tiles = torch.cat([torch.cat([similarity(text.rows(slice(a, a + tile)), visual.rows(slice(b, b + tile)))
                                  for b in range(0, 9, tile)], dim=1) for a in range(0, 7, tile)])
    torch.testing.assert_close(tiles, whole, atol=1e-6, rtol=1e-5)


def test_query_score_by_hand():
    """Two frames (1, 0) and (0, 1), text (ln 3, 0), temperature 1: weights 3/4 and 1/4, cosine 3 / sqrt(10)."""
    frames = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    text = torch.tensor([[torch.log(torch.tensor(3.0)), 0.0]])
    score = QueryScore(temperature=1.0)(Features(text), Features(frames.mean(1), frames))
    torch.testing.assert_close(score, torch.tensor([[3 / 10 ** 0.5]]))


def test_query_score_gradient_is_the_plain_formulas():
    text, frames, mask = random_case(3, 4, 3, 5, 8, True)
    ours = [x.clone().requires_grad_() for x in (text, frames)]
    plain = [x.clone().requires_grad_() for x in (text, frames)]
    weight = torch.randn(4, 3)
    (QueryScore()(Features(ours[0]), Features(ours[1].mean(1), ours[1], mask)) * weight).sum().backward()
    (plain_query_score(plain[0], plain[1], mask, 5.0) * weight).sum().backward()
    for a, b in zip(ours, plain):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize('similarity', [QueryScore(), TopKFrames(k=2)])
@pytest.mark.parametrize('values', [1, 7 * 6 * 5 * 4])  # one item at a time, and four of nine
def test_chunks_have_the_scores_and_gradients_of_the_whole(similarity, values, monkeypatch):
    text, frames, mask = random_case(3, 7, 9, 5, 16, True)
    weight = torch.randn(7, 9, generator=torch.Generator().manual_seed(0))

    def scores_and_gradients():
        leaves = [x.clone().requires_grad_() for x in (text, frames)]
        scores = similarity(Features(leaves[0]), Features(leaves[1].mean(1), leaves[1], mask))
        (scores * weight).sum().backward()
        return scores.detach(), *(leaf.grad for leaf in leaves)

    whole = scores_and_gradients()
    monkeypatch.setattr(chunks, 'VALUES_AT_ONCE', values)
    monkeypatch.setattr(chunks, 'VALUES_IN_CACHE', values)
    seen = []
    score = type(similarity)._score
    monkeypatch.setattr(type(similarity), '_score', lambda *args: seen.append(len(args[2].pooled)) or score(*args))
    chunked = scores_and_gradients()
    per_chunk = 1 if values == 1 else 4
    assert max(seen) == per_chunk and sum(seen) == 2 * 9  # forwards, and again for the backward pass
    for ours, expected in zip(chunked, whole):
        torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-5)
    with torch.no_grad():
        found = similarity(Features(text), Features(frames.mean(1), frames, mask))
    torch.testing.assert_close(found, whole[0], atol=1e-6, rtol=1e-5)


def test_a_zero_embedding_gives_no_nan():
    zero = Features(torch.zeros(1, 4, requires_grad=True))
    frames = torch.zeros(1, 2, 4, requires_grad=True)
    for similarity in (QueryScore(), MeanPool(), TopKFrames()):
        score = similarity(zero, Features(frames.mean(1), frames))
        score.sum().backward()
        assert torch.isfinite(score).all() and torch.isfinite(frames.grad).all()


def test_a_tower_without_frames_is_refused():
    with pytest.raises(ConfigError, match='QueryScore weighs frames'):
        QueryScore()(Features(torch.ones(1, 4)), Features(torch.ones(1, 4)))


def test_arguments_must_be_positive():
    with pytest.raises(ConfigError, match='temperature=0 must be above 0'):
        QueryScore(temperature=0)
    with pytest.raises(ConfigError, match='k=0 must be at least 1'):
        TopKFrames(k=0)
