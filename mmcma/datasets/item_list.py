"""A data set's items as a list."""
from typing import Iterator, Sequence

from mmengine.dataset import BaseDataset


class ItemList(Sequence):
    """Read-only view of a data set's items; each access gives a fresh copy."""

    def __init__(self, dataset: BaseDataset) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return BaseDataset.__len__(self._dataset)

    def __getitem__(self, index: int) -> dict:
        if not -len(self) <= index < len(self):
            raise IndexError(f'item {index} of {len(self)}')
        # The base class's own: a subclass gives samples, which in training are no items.
        item = BaseDataset.get_data_info(self._dataset, index % len(self))
        del item['sample_idx']
        return item

    def __iter__(self) -> Iterator[dict]:
        return (self[index] for index in range(len(self)))
