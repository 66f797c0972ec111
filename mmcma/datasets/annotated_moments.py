"""Videos whose sentences say when what they describe happens: as whole videos, or as moments to be found."""
from abc import abstractmethod
from collections import Counter
from typing import NamedTuple

from mmcma.datasets.retrieval_dataset import RetrievalDataset, SplitSize
from mmcma.utils.errors import DataError, short
from mmcma.utils.spans import Span


class DescribedMoment(NamedTuple):
    """A sentence, and when each of its annotators saw what it says."""
    caption: str
    times: list[Span]


class DescribedVideo(NamedTuple):
    """A video, its length in seconds as the annotations have it, and its moments."""
    duration: float
    moments: list[DescribedMoment]


class AnnotatedMoments(RetrievalDataset):
    """A data set of videos whose moments are described.

    Args:
        moments: Whether each annotated stretch of time is an item, with the sentences that describe it as its
            captions; else a video is, with one paragraph. An item's ``span`` is its annotated time, which most of the
            annotators chose, and ``caption_times`` has for each caption the times of all of them, as
            :class:`~mmcma.evaluation.MomentMetric` needs them: give ``PackRetrievalInputs`` the option
            ``meta_keys=('span', 'caption_times')``.
        **kwargs: Arguments of ``RetrievalDataset``.
    """

    def __init__(self, *, moments: bool = False, **kwargs) -> None:
        self.moments = moments
        super().__init__(**kwargs)

    @abstractmethod
    def read_videos(self) -> dict[str, DescribedVideo]:
        """All videos of the split by id, their files there or not."""

    def load_data_list(self) -> list[dict]:
        """The items of the split whose files exist."""
        if not self.moments:
            return super().load_data_list()
        items = [item for video_id, video in self.read_videos().items() for item in _items(video_id, video)]
        self.listed = SplitSize(len(items), sum(len(item['captions']) for item in items))
        return self._find_media(items)

    def filter_data(self) -> list[dict]:
        """Check what every reader must deliver; nothing is dropped."""
        items = super().filter_data()
        if self.moments and self.listed is not None:  # the published sizes are of videos
            self._expected = self.listed.items
        return items


def _items(video_id: str, video: DescribedVideo) -> list[dict]:
    """One for each stretch of time, in the order of the file."""
    items: dict[Span, dict] = {}
    for caption, times in video.moments:
        span = Counter(times).most_common(1)[0][0]
        if not 0 <= span.start < min(span.end, video.duration):
            raise DataError(f'video {short(video_id)}: {span.start:g} to {span.end:g} s is no part of its '
                            f'{video.duration:g} s')
        item = items.setdefault(span, dict(
            id=f'{video_id}#{span.start:g}-{span.end:g}', path=video_id, span=span, captions=[], caption_times=[],
            start=span.start, end_at_most=span.end))  # files are cut a little differently
        item['captions'].append(caption)
        item['caption_times'].append(times)
    return list(items.values())
