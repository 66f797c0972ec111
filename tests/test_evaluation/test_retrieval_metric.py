"""The metric over a test set, in one process and sharded over two and three."""

import pytest
import torch
from helpers.processes import in_group
from torch import distributed

from mmcma.evaluation import RetrievalMetric
from mmcma.structures import RetrievalSample
from mmcma.utils.errors import ConfigError, DataError, NonFiniteError

DIM = 8
KINDS = ('appearance', 'event', 'order')


def similarity(text, visual):
    """Mean over valid frames of the dot products, summed in the same order for any block."""
    scores = (text.pooled[:, None, None] * visual.tokens[None]).sum(-1)  # (N, M, T)
    valid = torch.ones_like(scores[0]) if visual.mask is None else visual.mask.float()
    return (scores * valid).sum(-1) / valid.sum(-1)


def sample(index: int) -> dict:
    """Item ``index`` of a made-up set: 1 to 3 captions, 2 to 4 frames, the last one padding for some."""
    generator = torch.Generator().manual_seed(index)
    count, frames = 1 + index % 3, 2 + index % 3
    tokens = torch.randn(frames, DIM, generator=generator)
    mask = torch.ones(frames, dtype=torch.bool)
    mask[-1] = index % 2 == 0
    noise = torch.randn(count, DIM, generator=generator)
    return RetrievalSample(
        item_id=f'clip-{index}', item_index=index, captions=[f'caption {index}.{i}' for i in range(count)],
        caption_kinds=[KINDS[(index + i) % 3] for i in range(count)], frame_mask=mask,
        visual_tokens=tokens, text_pooled=tokens[mask].mean(0) + noise).to_dict()


def make_metric(**kwargs) -> RetrievalMetric:
    metric = RetrievalMetric(text_block=5, visual_block=4, **kwargs)
    metric.similarity = similarity
    return metric


def evaluate(indices, size=None, **kwargs):
    metric = make_metric(**kwargs)
    for index in indices:
        metric.process(None, [sample(index)])
    return metric.evaluate(size or len(set(indices))), metric


def test_keys_are_flat_floats():
    metrics, _ = evaluate(range(12))
    groups = ['t2v', 'v2t', *(f't2v/{kind}' for kind in KINDS)]
    names = ('R@1', 'R@5', 'R@10', 'MdR', 'MnR')
    assert metrics.pop('gallery') == '12 of 12'
    assert set(metrics) == {f'{group}/{name}' for group in groups for name in names}
    assert all(type(value) is float for value in metrics.values())


def test_result_keeps_what_a_report_needs():
    metrics, metric = evaluate([3, 0, 2, 1], v2t_protocol='max_over_captions')
    result = metric.result
    assert result.metrics == metrics
    assert result.item_ids == ['clip-0', 'clip-1', 'clip-2', 'clip-3']
    assert result.caption_item.tolist() == [0, 1, 1, 2, 2, 2, 3]
    assert result.captions[3] == 'caption 2.0' and result.caption_kinds[3] == 'order'
    assert result.protocols == dict(t2v='every_caption', v2t='max_over_captions')
    assert result.top_items.shape == (7, 4)
    assert result.gallery == (4, 4)


def test_padded_frames_do_not_count():
    metric = make_metric()
    for index in range(9):
        item = sample(index)
        item['visual_tokens'] = item['visual_tokens'].clone()
        item['visual_tokens'][~item['frame_mask']] = 1e3
        metric.process(None, [item])
    assert metric.evaluate(9) == evaluate(range(9))[0]


def hand_worked(folds, order=range(6)):
    """Six items of one caption, the first of two; the score of caption n and item m is table[n][m]."""
    table = torch.tensor([
        # fold 0       fold 1        fold 2
        [0.5, 0.1,     0.9, 0.0,     0.0, 0.0],  # first of item 0: rank 1 of 2, 2 of 6
        [0.2, 0.4,     0.0, 0.0,     0.0, 0.0],  # second of item 0: rank 2 of 2, 2 of 6
        [0.3, 0.4,     0.8, 0.7,     0.0, 0.0],  # item 1: rank 1 of 2, 3 of 6
        [0.0, 0.0,     0.6, 0.6,     0.0, 0.0],  # item 2: rank 1.5, tied
        [0.0, 0.0,     0.5, 0.9,     0.0, 0.0],  # item 3: rank 1
        [0.0, 0.0,     0.0, 0.0,     0.1, 0.2],  # item 4: rank 2
        [0.0, 0.0,     0.0, 0.0,     0.3, 0.4]])  # item 5: rank 1
    metric = RetrievalMetric(folds=folds, text_block=2, visual_block=3)
    metric.similarity = lambda text, visual: (text.pooled @ table) @ visual.pooled.T
    captions, items = torch.eye(7), torch.eye(6)
    for index in order:
        own = [0, 1] if index == 0 else [index + 1]
        metric.process(None, [dict(item_index=index, item_id=str(index), captions=[f'caption {n}' for n in own],
                                   visual_tokens=items[index, None], text_pooled=captions[own])])
    return metric.evaluate(6), metric


def test_folds_by_hand():
    metrics, metric = hand_worked(folds=3)
    plain, _ = hand_worked(folds=1)
    assert {key: metrics[key] for key in plain} == plain
    # t2v: ranks 1, 2, 1 | 1.5, 1 | 2, 1.
    assert metrics['t2v/2/R@1'] == pytest.approx((200 / 3 + 50 + 50) / 3, rel=1e-12)
    assert metrics['t2v/2/R@5'] == 100
    assert metrics['t2v/2/MdR'] == pytest.approx((1 + 1.25 + 1.5) / 3, rel=1e-12)
    assert metrics['t2v/2/MnR'] == pytest.approx((4 / 3 + 1.25 + 1.5) / 3, rel=1e-12)
    # v2t: item 0 has 0.5 against 0.3, item 1 has 0.4 tied with 0.4; item 2 has 0.6 against 0.5,
    # item 3 has 0.9 against 0.6; item 4 has 0.1 against 0.3, item 5 has 0.4 against 0.2.
    assert metrics['v2t/2/R@1'] == pytest.approx((50 + 100 + 50) / 3, rel=1e-12)
    assert metrics['v2t/2/MnR'] == pytest.approx((1.25 + 1 + 1.5) / 3, rel=1e-12)
    # Among all six: t2v ranks 2, 2, 3, 1.5, 1, 2, 1.
    assert metrics['t2v/R@1'] == pytest.approx(200 / 7, rel=1e-12)
    assert metrics['t2v/MnR'] == pytest.approx(12.5 / 7, rel=1e-12)
    assert len(metrics) == 21 and metric.result.metrics == metrics
    assert metric.result.folds == {'2': 3}


def test_five_folds_of_a_thousand_are_called_1k():
    metric = RetrievalMetric(folds=5)
    assert metric._fold_names(5000) == {'1k': 5} and metric._fold_names(4999) == {}


def test_folds_follow_the_order_of_the_data_set():
    assert hand_worked(3, order=[4, 2, 5, 0, 3, 1, 1])[0] == hand_worked(3)[0]


def test_folds_that_do_not_divide_are_left_out():
    assert hand_worked(folds=4)[0] == hand_worked(folds=1)[0]
    assert hand_worked(folds=7)[0] == hand_worked(folds=1)[0]
    for name in ('folds', 'top_k'):
        for number in (0, 2.5):
            with pytest.raises(ConfigError, match=f'{name}={number} must be'):
                RetrievalMetric(**{name: number})


@pytest.mark.parametrize('protocol, at_five, mean', [('best_caption', 50, 3.5), ('max_over_captions', 100, 1.5)])
def test_protocols_by_hand(protocol, at_five, mean):
    """Item a has six captions, b has one. Seen from b, five of a's captions are better than its own."""
    table = torch.tensor([[1.0, 0.9], [1.0, 0.9], [1.0, 0.9], [1.0, 0.9], [1.0, 0.9],
                          [0.2, 0.3],   # the sixth of a: a query that fails
                          [0.0, 0.5]])  # the one of b
    metric = RetrievalMetric(v2t_protocol=protocol)
    metric.similarity = lambda text, visual: (text.pooled @ table) @ visual.pooled.T
    for index, own in enumerate([range(6), [6]]):
        metric.process(None, [dict(item_index=index, item_id='ab'[index], captions=[f'caption {n}' for n in own],
                                   visual_tokens=torch.eye(2)[index, None], text_pooled=torch.eye(7)[list(own)])])
    metrics = metric.evaluate(2)
    # Every caption is a query of its own: six of seven find their item first.
    assert metrics['t2v/R@1'] == pytest.approx(600 / 7) and metrics['t2v/MnR'] == pytest.approx(8 / 7)
    # a is first by both; b is sixth among the captions, but second among the items.
    assert (metrics['v2t/R@1'], metrics['v2t/R@5'], metrics['v2t/R@10']) == (50, at_five, 100)
    assert metrics['v2t/MnR'] == mean and metric.result.protocols['v2t'] == protocol


def test_order_and_copies_do_not_matter():
    plain = evaluate(range(11))[0]
    assert evaluate([5, 3, 3, 10, 0, 1, 2, 4, 9, 6, 8, 7, 0])[0] == plain


def test_metric_starts_anew_after_an_evaluation():
    metrics, metric = evaluate(range(12))
    for index in range(12):
        metric.process(None, [sample(index)])
    assert metric.evaluate(12) == metrics


def test_a_shrunken_gallery_is_reported():
    metric = make_metric()
    metric.dataset_gallery = (5, 8)
    for index in range(5):
        metric.process(None, [sample(index)])
    metrics = metric.evaluate(5)
    assert metric.result.gallery == (5, 8)
    assert metrics['gallery/present'] == 5 and metrics['gallery/expected'] == 8
    assert metrics['gallery'] == '5 of 8'
    assert evaluate(range(5), size=6)[1].result.gallery == (5, 6)
    metric.dataset_gallery = (1, 1500)
    metric.process(None, [sample(0)])
    assert metric.evaluate(1)['gallery'] == '1 of 1,500'


def test_prefix():
    assert 'flickr/t2v/R@1' in evaluate(range(3), prefix='flickr')[0]


def test_sets_without_kinds_masks_or_clips():
    metric = make_metric()
    for index in range(4):
        item = sample(index)
        del item['caption_kinds'], item['frame_mask']
        item['visual_tokens'] = item['visual_tokens'][:1]
        metric.process(None, [item])
    assert len(metric.evaluate(4)) == 11
    assert metric.result.caption_kinds is None


def test_errors_name_what_is_wrong():
    with pytest.raises(ConfigError, match="v2t_protocol='best'"):
        RetrievalMetric(v2t_protocol='best')
    metric = RetrievalMetric()
    metric.process(None, [sample(0)])
    with pytest.raises(ConfigError, match='RetrievalTestLoop'):
        metric.evaluate(1)
    with pytest.raises(DataError, match='no item was tested'):
        make_metric().evaluate(0)
    metric = make_metric()
    metric.process(None, [sample(0), {**sample(0), 'captions': ['another']}])
    with pytest.raises(DataError, match="'clip-0' came twice.*test_mode=True"):
        metric.evaluate(1)


def test_nan_features_name_the_item():
    metric = make_metric()
    metric.process(None, [sample(index) for index in range(6)])
    metric.results[4]['visual_tokens'] = torch.full((2, DIM), torch.nan)
    with pytest.raises(NonFiniteError, match="item 'clip-4'"):
        metric.evaluate(6)


def sharded(shards, spoil=None) -> tuple:
    """What one process is told of its shard's evaluation, and the result, which the first has."""
    from mmcma.evaluation import gather
    gather.ROWS_AT_ONCE = 7  # several pieces, of different number on each rank
    own, metric = shards[distributed.get_rank()], make_metric()
    for index in own:
        metric.process(None, [sample(index)])
    if spoil in own:
        metric.results[0]['text_pooled'] = torch.full((1, DIM), torch.nan)
    try:
        return metric.evaluate(len({index for shard in shards for index in shard})), metric.result
    except NonFiniteError as error:
        return str(error), None


@pytest.mark.parametrize('shards', [
    [[0, 2, 4, 6, 8, 10, 12], [1, 3, 5, 7, 9, 11, 0]],  # 13 items: the sampler repeats the first
    [[0, 1, 2], [], [3, 4]]])
def test_sharded_evaluation_equals_that_of_one_process(shards):
    metrics, metric = evaluate(sorted({index for shard in shards for index in shard}))
    answers, (found, *_) = zip(*in_group(sharded, shards, count=len(shards)))
    assert answers == (metrics,) * len(shards)
    assert torch.equal(found.t2v_ranks, metric.result.t2v_ranks)
    assert torch.equal(found.v2t_ranks, metric.result.v2t_ranks)
    for name in ('top_items', 'top_scores', 'own_scores', 'top_captions', 'top_caption_scores'):
        assert torch.equal(getattr(found, name), getattr(metric.result, name)), name
    assert found.captions == metric.result.captions


def test_an_error_reaches_every_rank():
    answers, _ = zip(*in_group(sharded, [[0, 1], [3, 4]], 3))
    assert answers[0] == answers[1]
    assert "caption 3 of item 'clip-3'" in answers[0]
