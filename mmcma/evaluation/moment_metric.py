"""The metric of a test set whose items are moments of videos."""
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from torch import Tensor

from mmcma.evaluation.ranking import RetrievalRanks, TiledScores
from mmcma.evaluation.retrieval_metric import RetrievalMetric
from mmcma.registry import METRICS
from mmcma.utils.errors import ConfigError, argument_error
from mmcma.utils.spans import Span, intersection_over_union

#: Of rounding, when an overlap is compared with its threshold.
_ROUNDING = 1e-9


@METRICS.register_module()
class MomentMetric(RetrievalMetric):
    """:class:`RetrievalMetric` of moments, and how often the first one overlaps what was annotated.

    ``t2v/R@1_IoU0.5`` is the percentage of captions whose best moment of all is of the right video and has an
    intersection over union of at least 0.5 with the annotated time; ``video/R@1_IoU0.5`` is the same with the caption's
    own video alone to be searched (temporal grounding, Gao et al., ICCV 2017). Where a caption has several annotators,
    at least half of their times must be met: two of DiDeMo's four (Escorcia et al., arXiv 1907.12763). Moments that
    share the best score of a video share the hit.

    The data set is one with ``moments=True``, and its ``PackRetrievalInputs`` has
    ``meta_keys=('span', 'caption_times')``.

    Args:
        thresholds: Of the intersection over union, above 0 to 1.
        **kwargs: Arguments of ``RetrievalMetric``; ``top_k`` is at least 1.

    Raises:
        ConfigError: A threshold or ``top_k`` has no such value, or samples have no times.
    """

    def __init__(self, *, thresholds: Sequence[float] = (0.5, 0.7), **kwargs) -> None:
        super().__init__(**kwargs)
        if not thresholds or not all(0 < threshold <= 1 for threshold in thresholds):
            raise argument_error(self, 'thresholds', thresholds, 'must be shares above 0, at most 1.')
        if self.top_k < 1:
            raise argument_error(self, 'top_k', self.top_k, 'must be at least 1.')
        self.thresholds = tuple(thresholds)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps what ranking needs, and when the moments are."""
        super().process(data_batch, data_samples)
        for kept, sample in zip(self.results[-len(data_samples):], data_samples):
            if 'span' not in sample or 'caption_times' not in sample:
                raise ConfigError("MomentMetric: samples have no times; give the data set moments=True and "
                                  "PackRetrievalInputs meta_keys=('span', 'caption_times')")
            kept.update(path=str(sample['path']), span=Span(*sample['span']),
                        caption_times=[[Span(*time) for time in times] for times in sample['caption_times']])

    def _further_metrics(self, scores: TiledScores, samples: list[dict], ranks: RetrievalRanks) -> dict[str, float]:
        asked = [(sample['path'], times) for sample in samples for times in sample['caption_times']]
        best = [samples[item] for item in ranks.top_items[:, 0].tolist()]
        metrics = {}
        for threshold in self.thresholds:
            hits = [first['path'] == path and _meets(first['span'], times, threshold)
                    for first, (path, times) in zip(best, asked)]
            metrics[f't2v/R@1_IoU{threshold:g}'] = 100 * sum(hits) / len(hits)
            shares = list(_shares_in_video(scores, samples, threshold))
            metrics[f'video/R@1_IoU{threshold:g}'] = 100 * sum(shares) / len(shares)
        return metrics


def _shares_in_video(scores: TiledScores, samples: list[dict], threshold: float) -> Iterator[float]:
    """Of each caption's best moments of its own video, which share is right; a video's moments follow each other."""
    caption = item = 0
    for _, group in groupby(samples, lambda sample: sample['path']):
        own = list(group)
        times = [times for sample in own for times in sample['caption_times']]
        block: Tensor = scores[caption:caption + len(times), item:item + len(own)]
        for row, wanted in zip(block, times):
            best = (row == row.max()).nonzero()[:, 0].tolist()
            yield sum(_meets(own[place]['span'], wanted, threshold) for place in best) / len(best)
        caption, item = caption + len(times), item + len(own)


def _meets(span: Span, times: Sequence[Span], threshold: float) -> bool:
    """Whether it overlaps at least half of the annotated times enough."""
    return 2 * sum(intersection_over_union(span, time) >= threshold - _ROUNDING for time in times) >= len(times)
