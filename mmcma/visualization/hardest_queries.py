"""The captions that a model ranked worst, with images of what it should have found and what it found."""
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import torch
from torch import Tensor

from mmcma.evaluation import RetrievalResult
from mmcma.utils.images import film_strip

#: Gives the frames of a data set's item: uint8 ``(T, 3, H, W)``, padding frames left out.
FrameReader = Callable[[int], Tensor]


@dataclass(frozen=True)
class RetrievedItem:
    """One item in an answer: its id, whether it is the right one, and its frames side by side as JPEG."""
    item_id: str
    right: bool
    strip: bytes = field(repr=False)


@dataclass(frozen=True)
class HardQuery:
    """A caption, the rank of its item, that item, and the best ranked ones."""
    caption: str
    kind: str | None
    rank: float
    target: RetrievedItem
    retrieved: list[RetrievedItem]

    def to_dict(self) -> dict:
        """The query as in ``report.json``: no images, and ids in place of items."""
        return dict(caption=self.caption, kind=self.kind, rank=self.rank, item=self.target.item_id,
                    retrieved=[item.item_id for item in self.retrieved])


def hardest_queries(result: RetrievalResult, count: int, read: Callable[[int], dict],
                    retrieved: int = 3) -> list[HardQuery]:
    """Up to ``count`` captions with the worst ranks, of which no two describe the same item.

    Captions that found their item first are left out.

    Args:
        result: Result of the test set.
        count: How many captions.
        read: Gives an item of the data set by its ``item_index``, as the data set does.
        retrieved: How many of the best ranked items to show.
    """
    strips: dict[int, bytes] = {}

    def retrieved_item(position: int, target: int) -> RetrievedItem:
        if position not in strips:
            strips[position] = film_strip(shown_frames(read(result.item_index[position])))
        return RetrievedItem(result.item_ids[position], position == target, strips[position])

    queries = []
    for caption in islice(captions_by_rank(result, worst_first=True), count):
        target, rank = int(result.caption_item[caption]), float(result.t2v_ranks[caption])
        if rank <= 1:
            break
        queries.append(HardQuery(
            result.captions[caption], result.caption_kinds[caption] if result.caption_kinds else None, rank,
            retrieved_item(target, target),
            [retrieved_item(position, target) for position in result.top_items[caption, :retrieved].tolist()]))
    return queries


def captions_by_rank(result: RetrievalResult, *, worst_first: bool) -> Iterator[int]:
    """Positions of captions in the order of their ranks, of each item only the first."""
    seen = set()
    for caption in torch.argsort(result.t2v_ranks, descending=worst_first, stable=True).tolist():
        target = int(result.caption_item[caption])
        if target not in seen:
            seen.add(target)
            yield caption


def shown_frames(sample: dict) -> Tensor:
    """The frames of a data set's sample that are not padding: uint8 ``(T, 3, H, W)``."""
    mask = sample['data_samples'].get('frame_mask')
    return sample['inputs'] if mask is None else sample['inputs'][torch.as_tensor(mask)]
