"""Recall of moments by their overlap with what was annotated, worked by hand."""
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcma.evaluation import MomentMetric
from mmcma.utils.errors import ConfigError
from mmcma.utils.spans import Span, intersection_over_union


def sample(index: int, path: str, span: tuple, captions: list, visual: int) -> dict:
    """A moment that looks like axis ``visual``; captions are ``(axis they say, annotated times)``."""
    eye = torch.eye(4)
    return dict(item_index=index, item_id=str(index), path=path, span=span, captions=[f'{index} {place}' for place in
                range(len(captions))], caption_times=[times for _, times in captions], visual_tokens=eye[visual][None],
                text_pooled=torch.stack([eye[axis] for axis, _ in captions]))


def evaluate(samples: list[dict], **settings) -> dict:
    metric = MomentMetric(**settings)
    metric.similarity = lambda text, visual: text.pooled @ visual.pooled.T
    metric.process(None, samples)
    return metric.evaluate(len(samples))


def test_by_hand():
    """Five captions of three moments of two videos.

    The first finds its moment. The second finds 0-10 s, and 0-6 s was annotated: 0.6. The third, of 10-20 s, finds
    another video's moment; of its own video all score 0, and one of two is right. The fourth finds its moment, but two
    of its three annotators saw another time. The fifth finds its moment, as two of four annotators did.
    """
    samples = [
        sample(0, 'a', (0, 10), [(0, [(0, 10)]), (0, [(0, 6)])], visual=0),
        sample(1, 'a', (10, 20), [(2, [(10, 20)])], visual=1),
        sample(2, 'b', (0, 10), [(2, [(0, 10), (20, 30), (20, 30)]), (2, [(0, 10), (0, 10), (20, 30), (5, 30)])],
               visual=2)]
    metrics = evaluate(samples)
    assert metrics['t2v/R@1_IoU0.5'] == pytest.approx(100 * 3 / 5)
    assert metrics['t2v/R@1_IoU0.7'] == pytest.approx(100 * 2 / 5)
    assert metrics['video/R@1_IoU0.5'] == pytest.approx(100 * 3.5 / 5)
    assert metrics['video/R@1_IoU0.7'] == pytest.approx(100 * 2.5 / 5)
    assert metrics['t2v/R@1'] == pytest.approx(100 * 4 / 5)  # those of RetrievalMetric are there too


def test_thresholds_are_reached_by_what_equals_them():
    samples = [sample(0, 'a', (0, 10), [(0, [(0, 7)])], 0), sample(1, 'a', (10, 20), [(1, [(10, 15)])], 1)]
    metrics = evaluate(samples, thresholds=(0.5, 0.7, 1))
    assert [metrics[f'video/R@1_IoU{threshold}'] for threshold in ('0.5', '0.7', '1')] == [100, 50, 0]


@pytest.mark.parametrize('one, other, expected', [
    ((0, 10), (0, 10), 1), ((0, 10), (5, 15), 1 / 3), ((0, 10), (10, 20), 0), ((0, 10), (2, 4), 0.2),
    ((0, 0), (0, 0), 0), ((0, 10), (20, 30), 0)])
def test_intersection_over_union(one, other, expected):
    assert intersection_over_union(Span(*one), Span(*other)) == pytest.approx(expected)


spans = st.tuples(st.integers(0, 20), st.integers(1, 20)).map(lambda ends: Span(ends[0], ends[0] + ends[1]))


@settings(deadline=None)
@given(spans, spans)
def test_intersection_over_union_counts_seconds(one, other):
    """The plain way: sets of whole seconds."""
    first, second = (set(range(span.start, span.end)) for span in (one, other))
    expected = len(first & second) / len(first | second)
    assert intersection_over_union(one, other) == intersection_over_union(other, one) == pytest.approx(expected)


def test_what_cannot_be():
    with pytest.raises(ConfigError, match='thresholds'):
        MomentMetric(thresholds=(0,))
    with pytest.raises(ConfigError, match='top_k'):
        MomentMetric(top_k=0)
    without = sample(0, 'a', (0, 1), [(0, [(0, 1)])], 0)
    del without['span']
    with pytest.raises(ConfigError, match="meta_keys=.'span', 'caption_times'."):
        evaluate([without])
