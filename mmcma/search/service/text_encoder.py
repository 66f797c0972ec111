"""Texts of many requests, encoded together."""
from collections import OrderedDict
from concurrent.futures import Future
from threading import Lock

import torch

from mmcma.apis import RetrievalInferencer
from mmcma.search.queries import check_query
from mmcma.structures import Features
from mmcma.utils.errors import DataError

#: Texts whose features are kept.
REMEMBERED = 1000


class TextEncoder:
    """Encodes texts; those that come while the model is at work go through it together afterwards.

    A text has the same features, to the last bit, as long as it is remembered: those of a batch differ in the last bits
    from those of one alone, and the pages of an answer must agree.

    Args:
        inferencer: Encodes them.
    """

    def __init__(self, inferencer: RetrievalInferencer) -> None:
        self._inferencer = inferencer
        self._known: OrderedDict[str, Future[Features]] = OrderedDict()
        self._waiting: dict[str, Future[Features]] = {}
        self._lock, self._passing = Lock(), Lock()  # of the two dicts, and of the model

    def __call__(self, text: str) -> Features:
        """Features of one text; to be called in many threads.

        Raises:
            DataError: The text is empty or has more words than the model reads.
        """
        with self._lock:
            if text not in self._known:
                self._known[text] = self._waiting[text] = Future()
            features = self._known[text]
            self._known.move_to_end(text)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        if not features.done():
            with self._passing:
                if not features.done():  # nobody else's pass has taken it along
                    self._encode_waiting()
        return features.result()

    def _encode_waiting(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting, {}
        try:
            sound = {text: features for text, features in batch.items() if self._is_sound(text, features)}
            rows = self._inferencer.encode_text(list(sound)) if sound else Features(torch.empty(0))
            for row, features in enumerate(sound.values()):
                features.set_result(rows.rows(torch.tensor([row])))  # a copy: a view would keep the whole batch
        except Exception as error:
            for features in batch.values():
                if not features.done():
                    features.set_exception(error)
        with self._lock:
            for text, features in batch.items():
                if features.exception() is not None:
                    self._known.pop(text, None)

    def _is_sound(self, text: str, features: Future[Features]) -> bool:
        """Whether the model reads it; here, since a tokenizer does one thing at a time."""
        try:
            check_query(text, self._inferencer.model.data_preprocessor)
        except DataError as error:
            features.set_exception(error)
        return not features.done()
