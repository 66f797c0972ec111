"""Ranks against worked examples, against a brute-force oracle, and for any tile size."""
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from mmcma.evaluation import TiledScores, rank_metrics, retrieval_ranks
from mmcma.evaluation.ranking import V2T_PROTOCOLS
from mmcma.structures import Features
from mmcma.utils.errors import ConfigError, DataError, NonFiniteError


def oracle(scores, owner, protocol):
    """The definition, pair by pair, in Python floats."""
    n, m = len(scores), len(scores[0])

    def rank(own, rivals):
        return 1 + sum(r > own for r in rivals) + sum(r == own for r in rivals) / 2

    t2v = [rank(scores[i][owner[i]], [scores[i][j] for j in range(m) if j != owner[i]]) for i in range(n)]
    if protocol == 'best_caption':
        v2t = [rank(max(scores[i][j] for i in range(n) if owner[i] == j),
                    [scores[i][j] for i in range(n) if owner[i] != j]) for j in range(m)]
    else:
        best = [[max(scores[i][j] for i in range(n) if owner[i] == k) for j in range(m)] for k in range(m)]
        v2t = [rank(best[j][j], [best[k][j] for k in range(m) if k != j]) for j in range(m)]
    return t2v, v2t


@st.composite
def problems(draw):
    """Whole-numbered scores, so that ties are common; every item has a caption; any order of captions."""
    m = draw(st.integers(1, 7))
    n = draw(st.integers(m, 14))
    others = draw(st.lists(st.integers(0, m - 1), min_size=n - m, max_size=n - m))
    owner = draw(st.permutations([*range(m), *others]))
    scores = draw(st.lists(st.lists(st.integers(-2, 2), min_size=m, max_size=m), min_size=n, max_size=n))
    return scores, owner


@given(problems(), st.sampled_from(V2T_PROTOCOLS), st.integers(1, 15), st.integers(1, 8))
@settings(max_examples=200, deadline=None)
def test_ranks_equal_the_oracle_for_any_tile(problem, protocol, text_block, visual_block):
    scores, owner = problem
    ranks = retrieval_ranks(torch.tensor(scores), owner, v2t_protocol=protocol, top_k=3,
                            text_block=text_block, visual_block=visual_block)
    t2v, v2t = oracle(scores, owner, protocol)
    assert ranks.t2v.tolist() == t2v
    assert ranks.v2t.tolist() == v2t
    top = [sorted(range(len(row)), key=lambda j: (-row[j], j))[:3] for row in scores]
    assert ranks.top_items.tolist() == top
    assert ranks.top_scores.tolist() == [[row[j] for j in best] for row, best in zip(scores, top)]
    assert ranks.own_scores.tolist() == [row[own] for row, own in zip(scores, owner)]
    columns = list(zip(*scores))
    assert ranks.top_caption_scores.tolist() == [max(column) for column in columns]
    assert ranks.top_captions.tolist() == [column.index(max(column)) for column in columns]


def test_worked_example():
    scores = torch.tensor([[0.9, 0.1, 0.9],   # of item 0: tied with item 2 -> 1.5
                           [0.2, 0.3, 0.1],   # of item 0: beaten by item 1 -> 2
                           [0.5, 0.9, 0.4],   # of item 1: 1
                           [0.8, 0.9, 0.7]])  # of item 2: beaten by both -> 3
    ranks = retrieval_ranks(scores, [0, 0, 1, 2])
    assert ranks.t2v.tolist() == [1.5, 2, 1, 3]
    # Item 1: its caption scores 0.9 like that of item 2; item 2: its own 0.7 is beaten by 0.9 of item 0.
    assert ranks.v2t.tolist() == [1, 1.5, 2]


def test_own_captions_are_no_rivals():
    scores = torch.tensor([[0.5, 0.0], [0.5, 0.0], [0.5, 0.0], [0.1, 1.0]])
    assert retrieval_ranks(scores, [0, 0, 0, 1]).v2t.tolist() == [1, 1]


def test_protocols_agree_at_one_and_differ_below():
    # Two captions of item 0 beat the only one of item 1, seen from item 1.
    scores = torch.tensor([[1.0, 0.9], [0.9, 0.8], [0.0, 0.1]])
    assert retrieval_ranks(scores, [0, 0, 1]).v2t.tolist() == [1, 3]
    assert retrieval_ranks(scores, [0, 0, 1], v2t_protocol='max_over_captions').v2t.tolist() == [1, 2]


@pytest.mark.parametrize('block', [3, 512])
def test_constant_matrix_ranks_everyone_in_the_middle(block):
    owner = torch.arange(10).repeat_interleave(2)
    for protocol, among in (('best_caption', 1 + 18 / 2), ('max_over_captions', 1 + 9 / 2)):
        ranks = retrieval_ranks(torch.full((20, 10), 0.3), owner, v2t_protocol=protocol,
                                text_block=block, visual_block=block)
        assert ranks.t2v.unique().tolist() == [1 + 9 / 2]
        assert ranks.v2t.unique().tolist() == [among]


@pytest.mark.parametrize('large', [1e38, -3e38])
def test_scores_whose_sum_overflows_are_ranked(large):
    ranks = retrieval_ranks(torch.full((20, 20), large), range(20))
    assert ranks.t2v.unique().tolist() == ranks.v2t.unique().tolist() == [10.5]


def test_the_callers_matrix_is_left_alone():
    scores = torch.rand(6, 6)
    before = scores.clone()
    retrieval_ranks(scores, range(6), top_k=2, text_block=4, visual_block=4)
    assert torch.equal(scores, before)


def test_scores_that_differ_least_are_no_ties():
    least = torch.tensor([1e-45, 0.0])  # the smallest difference that float32 knows
    assert retrieval_ranks(torch.stack([least, least.flip(0)]), [0, 1]).t2v.tolist() == [1, 1]
    assert retrieval_ranks(torch.stack([least.flip(0), least]), [0, 1]).t2v.tolist() == [2, 2]


def cosine(text, visual):
    return normalize(text.pooled, dim=-1) @ normalize(visual.pooled, dim=-1).T


@pytest.mark.parametrize('blocks', [(7, 5), (1, 1), (64, 3), (512, 512)])
def test_rounding_that_depends_on_the_tile_does_not_make_a_pair_its_own_rival(blocks):
    def wobbly(text, visual):
        """A matrix product whose rounding depends on the shape of the tile, much exaggerated."""
        n, m = len(text.pooled), len(visual.pooled)
        return text.pooled @ visual.pooled.T + 1e-3 * math.sin(13 * n + 7 * m)

    identity = Features(torch.eye(23))
    ranks = retrieval_ranks(TiledScores(wobbly, identity, identity), range(23),
                            text_block=blocks[0], visual_block=blocks[1])
    assert ranks.t2v.unique().tolist() == ranks.v2t.unique().tolist() == [1]


def test_tiles_equal_the_whole_matrix():
    generator = torch.Generator().manual_seed(0)
    text, visual = (Features(torch.randn(size, 16, generator=generator)) for size in (90, 30))
    owner = torch.arange(30).repeat_interleave(3)
    whole = retrieval_ranks(cosine(text, visual), owner, top_k=5)
    tiled = retrieval_ranks(TiledScores(cosine, text, visual), owner, top_k=5, text_block=17, visual_block=8)
    for one, other in zip(whole, tiled):
        assert torch.equal(one, other)


@given(st.lists(st.integers(2, 400), min_size=1, max_size=50))
@settings(deadline=None)
def test_metrics_of_half_ranks(doubled):
    ranks = [number / 2 for number in doubled]
    metrics = rank_metrics(ranks)
    for k in (1, 5, 10):
        assert metrics[f'R@{k}'] == pytest.approx(100 * sum(r <= k for r in ranks) / len(ranks))
    assert metrics['MnR'] == pytest.approx(sum(ranks) / len(ranks))
    assert all(type(value) is float for value in metrics.values())


def test_a_tie_for_the_first_place_is_no_hit_at_one():
    assert rank_metrics([1, 1.5, 3, 20]) == {'R@1': 25, 'R@5': 75, 'R@10': 75, 'MdR': 2.25, 'MnR': 6.375}


@pytest.mark.parametrize('bad', [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize('block', [2, 512])
def test_non_finite_scores_name_the_item(bad, block):
    blocks = dict(text_block=block, visual_block=block)
    scores = torch.rand(5, 5)
    scores[:, 3] = bad
    with pytest.raises(NonFiniteError, match=r"of item 'clip-3' to caption \d of item 'clip-\d'"):
        retrieval_ranks(scores, range(5), item_ids=[f'clip-{i}' for i in range(5)], **blocks)
    scores = torch.rand(5, 5)
    scores[2] = bad
    with pytest.raises(NonFiniteError, match=r"of caption 2 of item 'clip-2' to"):
        retrieval_ranks(scores, range(5), item_ids=[f'clip-{i}' for i in range(5)], **blocks)


@pytest.mark.parametrize('owner, message', [
    ([0, 1], 'give one item for each caption'),
    ([0, 1, 3], 'names item 3'),
    ([0, 1, -1], 'names item -1'),
    ([0, 1, 1], "item 'c' has no caption")])
def test_captions_that_do_not_fit(owner, message):
    with pytest.raises(DataError, match=message):
        retrieval_ranks(torch.rand(3, 3), owner, item_ids='abc')


def test_unknown_values():
    with pytest.raises(ConfigError, match="v2t_protocol='diagonal'"):
        retrieval_ranks(torch.eye(2), [0, 1], v2t_protocol='diagonal')
    with pytest.raises(ConfigError, match='text_block=0'):
        retrieval_ranks(torch.eye(2), [0, 1], text_block=0)
    with pytest.raises(DataError, match='empty'):
        retrieval_ranks(torch.empty(0, 0), [])
    with pytest.raises(DataError, match='empty'):
        rank_metrics([])
