"""A data set's items as a list."""
import pickle
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
        index %= len(self)
        dataset = self._dataset
        if not dataset.serialize_data:
            return pickle.loads(pickle.dumps(dataset.data_list[index]))
        start = dataset.data_address[index - 1] if index else 0
        return pickle.loads(memoryview(dataset.data_bytes[start:dataset.data_address[index]]))

    def __iter__(self) -> Iterator[dict]:
        return (self[index] for index in range(len(self)))
