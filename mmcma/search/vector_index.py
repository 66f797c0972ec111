"""The index of a large table's pooled vectors, IVF_PQ, which the first stage asks in place of every row."""
import tempfile
import zlib
from pathlib import Path

from mmcma.search.tables import LanceFileSession, lance

#: Rows from which a table has one; docs/scale.md has what was measured.
INDEXED_FROM = 50_000
#: Values of a vector that it keeps as one byte.
_VALUES_OF_A_CODE = 16


def keep_index(table: lance.LanceDataset) -> None:
    """Makes it where the table is large enough, or takes new rows up."""
    if table.describe_indices():
        table.optimize.optimize_indices()
    elif table.count_rows() >= INDEXED_FROM:
        width = table.schema.field('vector').type.list_size
        table.create_index('vector', 'IVF_PQ', metric='dot', num_partitions=round(table.count_rows()**0.5),
                           num_sub_vectors=max(1, width // _VALUES_OF_A_CODE))


def indexed_fragments(table: lance.LanceDataset) -> set[int]:
    """Ids of the fragments whose rows it has; rows of others are compared all."""
    return {fragment for index in table.describe_indices() for part in index.segments for fragment in part.fragment_ids}


def index_checksum(table: lance.LanceDataset) -> int:
    """CRC-32 of its files' bytes, since Lance keeps none; 0 where there is no index."""
    total = 0
    for name in sorted(part.uuid for index in table.describe_indices() for part in index.segments):
        session = LanceFileSession(f'{table.uri}/_indices/{name}')
        with tempfile.TemporaryDirectory() as folder:
            for number, path in enumerate(sorted(session.list())):
                copy = Path(folder, str(number))
                session.download_file(path, str(copy))
                total = zlib.crc32(copy.read_bytes(), total)
    return total
