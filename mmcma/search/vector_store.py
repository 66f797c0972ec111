"""Pooled vectors and what is known of their items, in Milvus: a file of Milvus Lite or a server, by the same calls."""
import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmcma.search.frame_store import Item
from mmcma.utils.errors import ConfigError, DataError

#: Rows of one call; a message to Milvus may have 64 MB.
ROWS_AT_ONCE = 1000
#: Milvus gives no more hits than this for a query.
MOST_HITS = 16384


class Candidate(NamedTuple):
    """An item that the first stage found, and the inner product of its vector and the query's."""
    item: Item
    score: float


class VectorStore:
    """One collection of unit vectors, searched by inner product.

    Args:
        uri: ``http://host:19530`` of a Milvus server, or the path of a Milvus Lite file, which ends in ``.db``.
        collection: Its name.

    Raises:
        ConfigError: Milvus is not installed, or ``uri`` is neither of the two.
        DataError: It cannot be reached or read.
    """

    def __init__(self, uri: str, collection: str) -> None:
        self.uri, self.collection = check_uri(uri), collection
        client_class = milvus_client()
        with self._one_line():
            self._client = client_class(uri)

    @property
    def embedded(self) -> bool:
        """Whether it is a file of Milvus Lite."""
        return is_embedded(self.uri)

    @contextmanager
    def _one_line(self) -> Iterator[None]:
        from pymilvus import MilvusException
        try:
            yield
        except (MilvusException, OSError) as error:
            reason = ' '.join(str(getattr(error, 'message', error)).split())
            raise DataError(f'{self.uri}: Milvus says: {reason}. {self.remedy}') from error

    @property
    def remedy(self) -> str:
        """What to do when it is damaged or out of reach."""
        if self.embedded:
            return (f'If it is damaged, delete {self.uri} and run mmcma index again: the vectors come back from the '
                    "gallery's frames, without reading the videos")
        return ('Is the server up? If its collection is gone, run mmcma index again: the vectors come back from the '
                "gallery's frames")

    def exists(self) -> bool:
        """Whether the collection is there."""
        with self._one_line():
            return self._client.has_collection(self.collection)

    def create(self, dim: int) -> None:
        """Makes the collection, for vectors of ``dim`` values."""
        from pymilvus import DataType
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field('id', DataType.INT64, is_primary=True)
        schema.add_field('vector', DataType.FLOAT_VECTOR, dim=dim)
        schema.add_field('path', DataType.VARCHAR, max_length=65535)
        schema.add_field('duration', DataType.DOUBLE)
        schema.add_field('frames', DataType.JSON)
        index = self._client.prepare_index_params()
        # In the file one cluster, which is an exact search by faiss: 'FLAT' takes longer there. A server chooses.
        # pymilvus passes on what is inside the outer 'params', and Milvus Lite reads the inner ones.
        kind = dict(index_type='IVF_FLAT', params=dict(params=dict(nlist=1))) if self.embedded else \
            dict(index_type='AUTOINDEX')
        index.add_index('vector', metric_type='IP', **kind)
        with self._one_line():
            self._client.create_collection(self.collection, schema=schema, index_params=index,
                                           consistency_level='Strong')

    def load(self) -> None:
        """Makes it ready to be searched."""
        with self._one_line():
            self._client.load_collection(self.collection)

    def count(self) -> int:
        """How many items it holds."""
        with self._one_line():
            return self._client.query(self.collection, filter='', output_fields=['count(*)'])[0]['count(*)']

    def ids(self) -> set[int]:
        """The ids of all items."""
        found: set[int] = set()
        with self._one_line():
            pages = self._client.query_iterator(self.collection, batch_size=ROWS_AT_ONCE, output_fields=['id'])
            while page := pages.next():
                found.update(row['id'] for row in page)
            pages.close()
        return found

    def add(self, items: Sequence[Item], vectors: np.ndarray) -> None:
        """Stores items and their vectors, float32 ``(len(items), D)``; those that are there already are replaced."""
        for start in range(0, len(items), ROWS_AT_ONCE):
            rows = [dict(id=item.id, vector=vector, path=item.path, duration=item.duration,
                         frames=dict(shard=item.shard, first=item.first, times=item.times))
                    for item, vector in zip(items[start:start + ROWS_AT_ONCE], vectors[start:start + ROWS_AT_ONCE])]
            with self._one_line():
                self._client.upsert(self.collection, rows)

    def remove(self, ids: Sequence[int]) -> None:
        """Deletes the items of these ids, those that are there."""
        for start in range(0, len(ids), ROWS_AT_ONCE):
            with self._one_line():
                self._client.delete(self.collection, ids=list(ids[start:start + ROWS_AT_ONCE]))

    def flush(self) -> None:
        """Seals what was added, so that it is indexed."""
        with self._one_line():
            self._client.flush(self.collection)

    def search(self, vector: np.ndarray, limit: int, *, folder: str = '',
               seconds: tuple[float, float] | None = None) -> list[Candidate]:
        """The items with the largest inner products, best first.

        Args:
            vector: float32 ``(D,)``.
            limit: How many, at most ``MOST_HITS``.
            folder: Only items below it; relative to the gallery's root.
            seconds: Only items that last as long: shortest and longest.
        """
        terms = []
        if folder:  # what begins with 'folder/': '0' is the character after '/'
            first, last = (json.dumps(folder + end, ensure_ascii=False) for end in '/0')
            terms.append(f'path >= {first} and path < {last}')
        if seconds:
            terms.append(f'duration >= {float(seconds[0])} and duration <= {float(seconds[1])}')
        with self._one_line():
            hits, = self._client.search(self.collection, data=[vector.tolist()], limit=limit,
                                        filter=' and '.join(terms), output_fields=['path', 'duration', 'frames'])
        return [Candidate(Item(id=hit['id'], path=hit['entity']['path'], duration=hit['entity']['duration'],
                               **hit['entity']['frames']), hit['distance']) for hit in hits]

    def close(self) -> None:
        """Lets go of the server, or of the file."""
        self._client.close()
        if self.embedded:  # its engine runs in this process, and holds the file until it is told
            from milvus_lite.server_manager import server_manager_instance
            server_manager_instance.release_server(self.uri)


def is_embedded(uri: str) -> bool:
    """Whether it is a file of Milvus Lite."""
    return '://' not in uri


def check_uri(uri: str) -> str:
    """Gives ``uri`` back.

    Raises:
        ConfigError: It is neither a server nor a file of Milvus Lite.
    """
    if is_embedded(uri) and Path(uri).suffix != '.db' or not is_embedded(uri) and not uri.startswith(('http', 'tcp')):
        raise ConfigError(f'store {uri!r}: give the address of a Milvus server, as in http://localhost:19530, or none '
                          'for a file in the gallery')
    return uri


def milvus_client():
    """The class of Milvus's clients.

    Raises:
        ConfigError: Milvus is not installed.
    """
    os.environ.setdefault('GRPC_ENABLE_FORK_SUPPORT', 'false')  # the processes that decode do not use it
    try:
        import milvus_lite  # noqa: F401
        from pymilvus import MilvusClient
    except ImportError as error:
        raise ConfigError(f"galleries need Milvus ({error}); install it with pip install 'mmcma[search]'") from error
    for name in ('pymilvus', 'milvus_lite'):  # they log a stack trace for what we raise
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return MilvusClient
