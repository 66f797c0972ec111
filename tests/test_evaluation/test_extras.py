"""Figures beside the plain ones, against the formulas on the whole matrix."""
import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmcma.config import check_config
from mmcma.evaluation import DualSoftmax, QuerybankNorm, Reranking, RetrievalMetric, TiledScores, retrieval_ranks
from mmcma.evaluation.sweeps import column_logsumexp, top_columns
from mmcma.models.similarities import MeanPool, QueryScore
from mmcma.structures import Features, RetrievalSample
from mmcma.utils.errors import ConfigError

BLOCKS = dict(text_block=4, visual_block=3)
OWNER = torch.tensor([0, 1, 1, 2, 3, 3, 3, 4, 5, 6, 7, 7, 8])  # 13 captions of 9 items


def of_matrix(matrix: torch.Tensor) -> TiledScores:
    """Scores that are the entries of ``matrix``."""
    n, m = matrix.shape
    return TiledScores(lambda text, visual: text.pooled @ matrix @ visual.pooled.T,
                       Features(torch.eye(n)), Features(torch.eye(m)))


def random_matrix(n: int = 13, m: int = 9, seed: int = 0) -> torch.Tensor:
    """Cosines, of which item 2 is near every caption."""
    matrix = torch.rand(n, m, generator=torch.Generator().manual_seed(seed)) * 0.6
    matrix[:, 2] += 0.4
    return matrix


def full_ranks(t2v: torch.Tensor, v2t: torch.Tensor, protocol: str = 'best_caption') -> tuple:
    """Ranks by one matrix for each direction, both ``(N, M)``."""
    return (retrieval_ranks(t2v, OWNER, v2t_protocol=protocol).t2v,
            retrieval_ranks(v2t, OWNER, v2t_protocol=protocol).v2t)


def extra_ranks(extra, matrix: torch.Tensor, protocol: str = 'best_caption') -> tuple:
    ranks = extra.ranks(of_matrix(matrix), OWNER, v2t_protocol=protocol, **BLOCKS)
    return ranks.t2v, ranks.v2t


@pytest.mark.parametrize('protocol', ['best_caption', 'max_over_captions'])
@pytest.mark.parametrize('temperature', [0.01, 0.1])
def test_dual_softmax_is_the_formula_on_the_whole_matrix(protocol, temperature):
    matrix = random_matrix().double()
    t2v = matrix * (matrix / temperature).softmax(dim=0)
    v2t = matrix * (matrix / temperature).softmax(dim=1)
    expected = full_ranks(t2v, v2t, protocol)
    found = extra_ranks(DualSoftmax(temperature=temperature), matrix.float(), protocol)
    assert all(torch.equal(*pair) for pair in zip(found, expected))
    assert not torch.equal(expected[0], full_ranks(matrix, matrix)[0])


def test_dual_softmax_by_hand():
    """Both texts prefer item 0. Text 0 outbids text 1 there, so text 1 finds item 1, its own."""
    matrix = torch.tensor([[0.9, 0.2], [0.7, 0.6]])
    ranks = DualSoftmax(temperature=0.1).ranks(of_matrix(matrix), [0, 1], v2t_protocol='best_caption', **BLOCKS)
    assert retrieval_ranks(matrix, [0, 1]).t2v.tolist() == [1, 2]
    assert ranks.t2v.tolist() == [1, 1]


@pytest.mark.parametrize('protocol', ['best_caption', 'max_over_captions'])
def test_querybank_norm_of_the_test_set_is_the_inverted_softmax(protocol):
    matrix = random_matrix().double()
    powers = (20 * matrix).exp()
    expected = full_ranks(powers / powers.sum(0), powers / powers.sum(1, keepdim=True), protocol)
    found = extra_ranks(QuerybankNorm(), matrix.float(), protocol)
    assert all(torch.equal(*pair) for pair in zip(found, expected))


def test_querybank_norm_with_a_bank_leaves_queries_that_meet_no_hub():
    """The bank's queries find items 2 and 4; texts whose best is another one keep their order."""
    whole = random_matrix(n=15, m=9, seed=1)
    whole[:, 2] -= 0.4
    whole[13, 2], whole[14, 4] = 1.0, 1.0
    test = whole[:13].double()
    normalised = (20 * test).exp() / (20 * whole[13:].double()).exp().sum(0)
    hub = torch.isin(test.argmax(1), torch.tensor([2, 4]))
    assert hub.any() and not hub.all()
    expected = retrieval_ranks(torch.where(hub[:, None], normalised, test), OWNER).t2v
    texts = Features(torch.eye(15))
    scores = TiledScores(lambda text, visual: text.pooled @ whole @ visual.pooled.T,
                         texts.rows(slice(0, 13)), Features(torch.eye(9)))
    extra = QuerybankNorm(text_bank=texts.rows(slice(13, 15)))
    found = extra.ranks(scores, OWNER, v2t_protocol='best_caption', **BLOCKS)
    assert torch.equal(found.t2v, expected)
    assert torch.equal(found.v2t, extra_ranks(QuerybankNorm(), whole[:13])[1])


def test_sweeps_are_those_of_the_whole_matrix():
    matrix = random_matrix() - 0.5
    torch.testing.assert_close(column_logsumexp(matrix, 100.0, (4, 3)), (100 * matrix.double()).logsumexp(0))
    assert torch.equal(top_columns(matrix, 3, (4, 2)), matrix.topk(3, dim=1).indices)


class FromTable(nn.Module):
    """Scores from a table, for one-hot features."""

    def __init__(self, table: torch.Tensor) -> None:
        super().__init__()
        self.table = table

    def forward(self, text: Features, visual: Features) -> torch.Tensor:
        return text.pooled @ self.table @ visual.pooled.T


def reranking(first: torch.Tensor, top_n: int) -> Reranking:
    extra = Reranking(top_n=top_n)
    extra.first_stage = FromTable(first)
    return extra


def test_reranking_by_hand():
    first = torch.tensor([
        [0.5, 0.9, 0.1, 0.2],   # candidates 1, 0: item 0 is one
        [0.4, 0.1, 0.8, 0.3],   # candidates 2, 0: item 1 is the last of the first stage
        [0.7, 0.6, 0.5, 0.5],   # candidates 0, 1: item 2 ties for the third place
        [0.2, 0.2, 0.2, 0.2]])  # candidates 0, 1 by their place: item 3 is in the middle of all, yet below them
    second = torch.tensor([
        [0.9, 0.3, 0.99, 0.0],  # 0 before 1; item 2 is better, but no candidate
        [0.0, 1.0, 0.0, 0.0],   # item 1 is the best, but no candidate
        [0.0, 0.0, 1.0, 0.0],
        [0.0, 0.0, 0.0, 1.0]])
    ranks = reranking(first, 2).ranks(of_matrix(second), range(4), v2t_protocol='best_caption', **BLOCKS)
    assert ranks.t2v.tolist() == [1, 4, 3.5, 3]
    # Items' candidates are captions 2 and 0; 0 and 2; 1 and 2; 2 and 1, of which caption 3 is third, with caption 0.
    assert ranks.v2t.tolist() == [1, 4, 1, 3.5]
    assert reranking(first, 1).ranks(of_matrix(second), range(4), v2t_protocol='best_caption', **BLOCKS) \
        .t2v.tolist() == [2, 4, 3.5, 2.5]


def test_reranking_counts_ties_by_half_and_an_items_best_caption():
    """Item 1 has captions 1 and 2, of which the candidates have one, equal to caption 0."""
    first = torch.tensor([[0.9, 0.9], [0.1, 0.2], [0.5, 0.8]])
    second = torch.tensor([[0.5, 0.5], [0.0, 0.9], [0.5, 0.5]])
    ranks = reranking(first, 2).ranks(of_matrix(second), [0, 1, 1], v2t_protocol='best_caption', **BLOCKS)
    assert ranks.v2t.tolist() == [1.5, 1.5]
    assert ranks.t2v.tolist() == [1.5, 1, 1.5]


@pytest.mark.parametrize('top_n', [13, 100])
def test_reranking_everything_is_the_plain_ranking(top_n):
    second = random_matrix(seed=3)
    found = extra_ranks(reranking(random_matrix(seed=4), top_n), second)
    assert all(torch.equal(*pair) for pair in zip(found, full_ranks(second, second)))


def test_only_candidates_are_scored_by_the_expensive_similarity():
    scored = []
    second = of_matrix(random_matrix())
    counted = TiledScores(lambda text, visual: scored.append(len(visual.pooled) * len(text.pooled))
                          or second.similarity(text, visual), second.text, second.visual)
    reranking(random_matrix(seed=4), 2).ranks(counted, OWNER, v2t_protocol='best_caption', **BLOCKS)
    assert sum(scored) <= 2 * 13 + 2 * 9


def samples() -> list[dict]:
    generator = torch.Generator().manual_seed(0)
    return [RetrievalSample(
        item_id=f'clip-{i}', item_index=i, captions=[f'caption {i}.0', f'caption {i}.1'],
        caption_kinds=['event', 'order'], visual_tokens=torch.randn(3, 8, generator=generator),
        text_pooled=torch.randn(2, 8, generator=generator)).to_dict() for i in range(6)]


def evaluate(**kwargs) -> dict:
    metric = RetrievalMetric(**BLOCKS, **kwargs)
    metric.similarity = QueryScore()
    metric.process(None, samples())
    return metric.evaluate(6)


def test_extras_report_under_their_own_keys_and_change_nothing_else():
    plain = evaluate()
    extras = [dict(type='DualSoftmax'), dict(type='QuerybankNorm', beta=10.0), dict(type='Reranking', top_n=2),
              dict(type='Reranking', top_n=99, key='rerank99', first_stage=dict(type='TopKFrames', k=2))]
    metrics = evaluate(extras=extras)
    assert {key: metrics[key] for key in plain} == plain
    figures = [key for key in plain if key.startswith(('t2v', 'v2t'))]
    for key in ('dsl', 'qbnorm', 'rerank', 'rerank99'):
        assert {f'{key}/{name}' for name in figures} <= metrics.keys()
    assert len(metrics) == len(plain) + 4 * len(figures)
    assert {key: metrics[f'rerank99/{key}'] for key in figures} == {key: plain[key] for key in figures}


def test_errors_name_the_value():
    for extra, said in ((dict(type='DualSoftmax', temperature=0), 'DualSoftmax.temperature=0'),
                        (dict(type='QuerybankNorm', beta=-1), 'QuerybankNorm.beta=-1'),
                        (dict(type='Reranking', top_n=0), 'Reranking.top_n=0'),
                        (dict(type='Reranking', first_stage=dict(type='XPool')), 'first_stage=XPool has weights')):
        with pytest.raises(ConfigError, match=said):
            RetrievalMetric(extras=[extra])
    with pytest.raises(ConfigError, match="2 of them report under 'dsl'"):
        RetrievalMetric(extras=[dict(type='DualSoftmax'), dict(type='DualSoftmax', temperature=0.1)])
    with pytest.raises(ConfigError, match="v2t_protocol='max_over_captions': Reranking"):
        RetrievalMetric(v2t_protocol='max_over_captions', extras=[dict(type='Reranking')])


def test_a_config_of_extras_is_checked_before_anything_is_built():
    for extra, said in ((dict(type='DualSoftmaks'), r"extras\[0\].type='DualSoftmaks'.*Did you mean 'DualSoftmax'"),
                        (dict(type='Reranking', topn=3), "takes no 'topn'"),
                        (dict(type='Reranking', first_stage=dict(type='MeanPol')), "first_stage.type='MeanPol'")):
        with pytest.raises(ConfigError, match=said):
            check_config(Config(dict(test_evaluator=dict(type='RetrievalMetric', extras=[extra]))))
    assert isinstance(Reranking().first_stage, MeanPool)
