"""What can be kept of a damaged gallery: the rows that are as they were written."""
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice

import pyarrow as pa

from mmcma.search.manifest import GalleryManifest, find_manifest
from mmcma.search.moment_table import MomentTable
from mmcma.search.rows import intact
from mmcma.search.tables import is_local, lance, latest, one_line_errors, table_uri, write_fragments
from mmcma.search.vector_index import index_checksum
from mmcma.utils.errors import DataError

#: Rows that are read at once, and lost at once where their bytes cannot be decoded.
_ROWS_AT_ONCE = 64
#: So many times as many are a fragment of what is written.
_BATCHES_OF_A_FRAGMENT = 64


def repaired(gallery: str, new: GalleryManifest) -> GalleryManifest:
    """The manifest of a gallery that holds intact rows only, those of files that have all of theirs.

    Args:
        gallery: The gallery's folder or URI; its lock is held.
        new: The manifest that a new gallery would have.

    Raises:
        DataError: What is damaged can neither be read nor deleted.
    """
    try:
        manifest = find_manifest(gallery) or new
    except DataError:
        manifest = new
        _drop(table_uri(gallery, 'gallery'))
    _drop(table_uri(gallery, 'failures'))
    uri = table_uri(gallery, 'moments')
    try:
        table = latest(uri, manifest.version or None)
        if table is not None and table.schema.metadata[b'fingerprint'].decode() == manifest.fingerprint:
            table = _without_damaged_index(_keep_intact(table), manifest.index)
            manifest = replace(manifest, version=table.version, index=index_checksum(table))
            sums = [checksum for checksum, in MomentTable(gallery, manifest).facts('checksum')]
            return replace(manifest, rows=len(sums), checksum=sum(sums))
    except DataError:
        pass
    _drop(uri)
    return replace(manifest, version=0, rows=0, checksum=0, index=0)


def _keep_intact(table: lance.LanceDataset) -> lance.LanceDataset:
    """The table without rows that are not what was written, written anew if there are such."""
    with one_line_errors(table.uri):
        total, kept, wanted = table.count_rows(), Counter[str](), dict[str, int]()
        for batch in _intact_batches(table, ['path', 'moments']):
            kept.update(batch['path'].to_pylist())
            wanted.update(zip(batch['path'].to_pylist(), batch['moments'].to_pylist()))
        whole = {path for path, count in kept.items() if count == wanted[path]}
        if sum(wanted[path] for path in whole) == total:
            return table
        batches = filter(len, (batch.filter(pa.array([path in whole for path in batch['path'].to_pylist()], pa.bool_()))
                               for batch in _intact_batches(table, table.schema.names)))
        # Part by part: a generator that Lance calls would abort the process where it is interrupted.
        fragments = [fragment for part in iter(lambda: list(islice(batches, _BATCHES_OF_A_FRAGMENT)), [])
                     for fragment in write_fragments(pa.Table.from_batches(part, table.schema), table.uri,
                                                     mode='overwrite')]
        return lance.LanceDataset.commit(table.uri, lance.LanceOperation.Overwrite(table.schema, fragments))


def _without_damaged_index(table: lance.LanceDataset, checksum: int) -> lance.LanceDataset:
    """The table; its index goes if it is another than the one with this checksum."""
    with suppress(DataError), one_line_errors(table.uri):
        if index_checksum(table) == checksum:
            return table
    with one_line_errors(table.uri):
        for index in table.describe_indices():
            table.drop_index(index.name)
    return table


def _intact_batches(table: lance.LanceDataset, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """These columns of the rows that are what was written."""
    for fragment in table.get_fragments():
        for start in range(0, fragment.physical_rows, _ROWS_AT_ONCE):
            batches: list[pa.RecordBatch] = []
            with suppress(DataError), one_line_errors(table.uri):
                batches = [batch.filter(pa.array(intact(batch), pa.bool_())).select(columns) for batch in
                           fragment.to_table(limit=_ROWS_AT_ONCE, offset=start).to_batches()]
            yield from batches


def _drop(uri: str) -> None:
    """Deletes a table, should there be one."""
    with one_line_errors(uri, 'Delete it by hand'):
        if is_local(uri):
            shutil.rmtree(uri, ignore_errors=True)
        else:
            lance.LanceDataset.drop(uri, ignore_not_found=True)
