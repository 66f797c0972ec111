"""Panels of the captions that a test answered best and worst."""
from collections.abc import Callable
from dataclasses import replace
from itertools import islice

import torch

from mmcma.evaluation import RetrievalResult
from mmcma.visualization.hardest_queries import captions_by_rank, shown_frames
from mmcma.visualization.query_panels import QueryPanel, draw_query_panels, query_panel


def result_panels(model, result: RetrievalResult, read: Callable[[int], dict], count: int = 2,
                  k: int = 3) -> list[QueryPanel]:
    """Panels of the ``count`` captions with the best ranks, and below them of those with the worst.

    Their answers are read and encoded again. No two captions among the best, or among the worst, describe
    the same item.

    Args:
        model: The :class:`~mmcma.models.CrossModalRetriever` that was tested, in eval mode.
        result: Result of the test.
        read: Gives an item of the data set by its ``item_index``, as the data set does.
        count: How many of each.
        k: Answers of each; at most ``top_k`` of the metric.
    """
    best, worst = (list(islice(captions_by_rank(result, worst_first=worst_first), count))
                   for worst_first in (False, True))
    return [_panel(model, result, caption, read, k)
            for caption in best + [caption for caption in reversed(worst) if caption not in best]]


def draw_result_panels(model, result: RetrievalResult, read: Callable[[int], dict], count: int = 2) -> bytes:
    """Draws :func:`result_panels` as a PNG; the model may be in training mode, and stays in it."""
    was_training = model.training
    try:
        return draw_query_panels(result_panels(model.eval(), result, read, count))
    finally:
        model.train(was_training)


@torch.no_grad()
def _panel(model, result: RetrievalResult, caption: int, read: Callable[[int], dict], k: int) -> QueryPanel:
    positions = result.top_items[caption, :k].tolist()
    samples = [read(result.item_index[position]) for position in positions]
    visual = model.encode_visual(torch.stack([sample['inputs'] for sample in samples]),
                                 torch.stack([sample['data_samples'].frame_mask for sample in samples]))
    panel = query_panel(model, result.captions[caption], visual, lambda place: shown_frames(samples[place]),
                        labels=[result.item_ids[position] for position in positions], k=k,
                        note=f'rank {result.t2v_ranks[caption]:g} of {len(result.item_ids):,}')
    right = result.item_ids[result.caption_item[caption]]
    return replace(panel, answers=[replace(answer, right=answer.label == right) for answer in panel.answers])
