"""What became of each query, by hand: before, a constant model; after, a table of scores."""
import csv
from dataclasses import replace
from io import StringIO

import pytest
import torch

from mmcma.engine.measured import Measured
from mmcma.engine.query_tables import query_tables
from mmcma.evaluation import RetrievalMetric, RetrievalResult

CAPTIONS = ['a dog', 'a "dog", running', 'a cat', '猫']
OWNERS = [0, 0, 1, 2]
IDS = ['clip-0', 'clip-1', 'clip-2']
#: Captions in rows, items in columns.
SCORES = [[0.5, 0.75, 0.25],    # of item 0: rank 2, item 1 is found first
          [0.625, 0.25, 0.0],   # of item 0: rank 1
          [0.5, 0.5, 0.125],    # of item 1: rank 1.5, the earlier item 0 is found first
          [0.875, 0.0, 0.375]]  # of item 2: rank 2, item 0 is found first


def result_of(scores: list[list[float]], kinds: bool = True, **options) -> RetrievalResult:
    metric = RetrievalMetric(text_block=3, visual_block=2, top_k=2, **options)
    metric.similarity = lambda text, visual: text.pooled @ torch.tensor(scores) @ visual.pooled.T
    captions, items = torch.eye(4), torch.eye(3)
    for index in range(3):
        own = [n for n in range(4) if OWNERS[n] == index]
        metric.process(None, [dict(item_index=index, item_id=IDS[index], captions=[CAPTIONS[n] for n in own],
                                   caption_kinds=['animal' if n != 3 else None for n in own] if kinds else None,
                                   visual_tokens=items[index, None], text_pooled=captions[own])])
    metric.evaluate(3)
    return metric.result


def tables(**results: RetrievalResult) -> dict[str, list[dict[str, str]]]:
    last = list(results.values())[-1]
    written = query_tables({name.replace('_', '-'): Measured.of(of, 1.0) for name, of in results.items()}, last)
    return {name: list(csv.DictReader(StringIO(table.decode(), newline=''))) for name, table in written.items()}


def test_before_and_after_by_hand():
    written = tables(zero_shot=result_of([[0.5] * 3] * 4), adapted=result_of(SCORES))
    rows = [list(row.values()) for row in written['ranks.csv']]
    assert list(written['ranks.csv'][0]) == [
        'caption', 'item', 'kind', 'zero_shot_rank', 'adapted_rank', 'zero_shot_first', 'adapted_first',
        'zero_shot_score', 'adapted_score', 'zero_shot_first_score', 'adapted_first_score']
    assert rows == [
        ['a dog', 'clip-0', 'animal', '2.0', '2.0', 'clip-0', 'clip-1', '0.5', '0.5', '0.5', '0.75'],
        ['a "dog", running', 'clip-0', 'animal', '2.0', '1.0', 'clip-0', 'clip-0', '0.5', '0.625', '0.5', '0.625'],
        ['a cat', 'clip-1', 'animal', '2.0', '1.5', 'clip-0', 'clip-0', '0.5', '0.5', '0.5', '0.5'],
        ['猫', 'clip-2', '', '2.0', '2.0', 'clip-0', 'clip-0', '0.5', '0.375', '0.5', '0.875']]


def test_video_to_text_by_hand():
    written = tables(adapted=result_of(SCORES))['ranks_v2t.csv']
    assert list(written[0]) == ['item', 'adapted_rank', 'adapted_caption', 'adapted_first', 'adapted_first_item',
                                'adapted_score', 'adapted_first_score']
    assert [list(row.values()) for row in written] == [
        # Its own best caption is the second, but that of item 2 is better.
        ['clip-0', '2.0', 'a "dog", running', '猫', 'clip-2', '0.625', '0.875'],
        ['clip-1', '2.0', 'a cat', 'a dog', 'clip-0', '0.5', '0.75'],
        ['clip-2', '1.0', '猫', '猫', 'clip-2', '0.375', '0.375']]


def test_of_equal_captions_of_its_own_an_item_takes_the_first():
    row = tables(adapted=result_of([[0.5] * 3] * 4))['ranks_v2t.csv'][0]
    assert (row['adapted_caption'], row['adapted_first'], row['adapted_rank']) == ('a dog', 'a dog', '2.0')


def test_ranks_are_those_of_the_protocol_and_kinds_may_be_absent():
    result = result_of(SCORES, kinds=False, v2t_protocol='max_over_captions')
    written = tables(adapted=result)
    assert {row['kind'] for row in written['ranks.csv']} == {''}
    assert [float(row['adapted_rank']) for row in written['ranks_v2t.csv']] == result.v2t_ranks.tolist()


@pytest.mark.parametrize('changed', [dict(captions=[*CAPTIONS[:3], 'a lynx']), dict(item_ids=[*IDS[:2], 'clip-9']),
                                     dict(caption_item=torch.tensor([0, 1, 1, 2]))])
def test_another_test_set_of_the_same_size_is_another(changed):
    result = result_of(SCORES)
    ours, other = Measured.of(result, 1.0), Measured.of(replace(result, **changed), 1.0)
    assert ours.same_test_as(Measured.of(result, 2.0)) and not ours.same_test_as(other)
