"""A data set's items: what each must be, and all of them as a list."""
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mmengine.dataset import BaseDataset

from mmcma.datasets.annotations.texts import check_caption
from mmcma.utils.errors import DataError, short


class SplitSize(NamedTuple):
    """Items and captions of a split, as published or as found."""
    items: int
    captions: int


class ItemList(Sequence):
    """Read-only view of a data set's items; each access gives a fresh copy."""

    def __init__(self, dataset: BaseDataset) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return BaseDataset.__len__(self._dataset)

    def __getitem__(self, index: int) -> dict:  # type: ignore[override]  # no slices: each item is unpickled anew
        if not -len(self) <= index < len(self):
            raise IndexError(f'item {index} of {len(self)}')
        # The base class's own: a subclass gives samples, which in training are no items.
        item = BaseDataset.get_data_info(self._dataset, index % len(self))
        del item['sample_idx']
        return item

    def __iter__(self) -> Iterator[dict]:
        return (self[index] for index in range(len(self)))


def check_items(items: Sequence[dict], title: str, source: str = '') -> None:
    """Checks what a reader delivers; nothing is dropped.

    Args:
        items: All of a data set.
        title: What the data set is called.
        source: The files that it was read from.

    Raises:
        DataError: When an id comes twice, an item has no captions, captions that are no text or impossible times, or
            there are no items.
    """
    seen: set[str] = set()
    for item in items:
        where = f"{title}, item {short(item['id'])}"
        kinds = item.get('caption_kinds')
        if item['id'] in seen:
            raise DataError(f'{where}: the id comes twice')
        if not item['captions'] or kinds is not None and len(kinds) != len(item['captions']):
            raise DataError(f"{where}: {len(item['captions'])} captions" +
                            (f' for {len(kinds)} caption kinds' if kinds is not None else ''))
        for caption in item['captions']:
            check_caption(caption, where)
        start, end = item.get('start'), item.get('end')
        if start is not None and start < 0 or end is not None and end <= (start or 0):
            raise DataError(f'{where}: from {start} s to {end} s is no stretch of time')
        seen.add(item['id'])
    if not seen:
        raise DataError(f'{title}: no items in {source}' if source else f'{title}: no items')
