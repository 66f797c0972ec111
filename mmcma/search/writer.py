"""Rows added, replaced and removed by the one process that writes a gallery; readers see each change whole or not."""
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

import pyarrow as pa

from mmcma.search.manifest import GalleryManifest
from mmcma.search.moment_table import MomentTable, text_literal
from mmcma.search.rows import Moment, row_schema, to_table
from mmcma.search.tables import (
    GO_ON,
    FragmentMetadata,
    append,
    create,
    lance,
    latest,
    one_line_errors,
    overwrite,
    table_uri,
    write_fragments,
)
from mmcma.search.vector_index import index_checksum, keep_index

#: Paths of one predicate.
_PATHS_AT_ONCE = 1000
#: Fragments of a table, above which they are joined, and the rows of one that is left alone: what is written again.
_FRAGMENTS, _FRAGMENT_ROWS = 64, 2 ** 17
#: Seconds after an indexing that what it replaced can be read by those who opened the gallery before.
KEPT_SECONDS = 3600
_FILE_FACTS = ('path', 'digest', 'size', 'modified', 'checksum')
_FAILURES = pa.schema([('path', pa.string()), ('error', pa.string())])


class StoredFile(NamedTuple):
    """What the gallery knows of a file: how it was, and of its rows their number and the sum of their checksums."""
    digest: str
    size: int
    modified: int
    rows: int
    checksum: int


class Written(NamedTuple):
    """Rows that lie beside the table and are not yet in it.

    Attributes:
        width: Values of an embedding.
        files: Of what files they are.
        fragments: Where they lie.
        seconds: Of video that they stand for.
    """
    width: int
    files: dict[str, StoredFile]
    fragments: list[FragmentMetadata]
    seconds: float = 0.0


def write_rows(gallery: str, moments: Sequence[Moment], fingerprint: str) -> Written:
    """Writes moments of some files; any process may, and :meth:`GalleryWriter.commit` takes them in.

    Args:
        gallery: The gallery's folder or URI.
        moments: At least one.
        fingerprint: That of the model.

    Raises:
        DataError: They cannot be written.
    """
    uri, width = table_uri(gallery, 'moments'), moments[0].frames.shape[1]
    rows = to_table(moments, row_schema(width, fingerprint))
    with one_line_errors(uri, GO_ON):
        return Written(width, _stored_files(zip(*(rows[name].to_pylist() for name in _FILE_FACTS))),
                       write_fragments(rows, uri, schema=rows.schema),
                       sum(moment.duration / moment.moments for moment in moments))


class GalleryWriter:
    """Changes a gallery whose lock is held; readers see what :meth:`_publish` has named.

    Args:
        gallery: The gallery's folder or URI.
        manifest: The one that is there, or a new one.

    Attributes:
        files: What the gallery holds, by path.

    Raises:
        DataError: It is damaged or cannot be written.
    """

    def __init__(self, gallery: str, manifest: GalleryManifest) -> None:
        self.gallery, self.manifest = gallery, manifest
        self.uri = table_uri(gallery, 'moments')
        self.files: dict[str, StoredFile] = {}
        self._table: lance.LanceDataset | None = None
        self._named = latest(table_uri(gallery, 'gallery'))
        if manifest.version:
            moments = MomentTable(gallery, manifest)
            moments.verify(manifest)
            self.files = _stored_files(moments.facts(*_FILE_FACTS))
            self._table = self._restored()
            self._forget_old_versions()
        self._publish(complete=False)

    def _restored(self) -> lance.LanceDataset:
        """The table as readers see it: what a killed writer left behind it, unnamed, is not meant."""
        with one_line_errors(self.uri):
            table = lance.dataset(self.uri)
            if table.version != self.manifest.version:
                table = table.checkout_version(self.manifest.version)
                table.restore()
        return table

    def _publish(self, **changes) -> None:
        self.manifest = replace(
            self.manifest, version=self._table.version if self._table else 0,
            rows=sum(file.rows for file in self.files.values()),
            checksum=sum(file.checksum for file in self.files.values()), written=time.time(), **changes)
        self._named = self.manifest.write(self.gallery, self._named)

    def add(self, moments: Sequence[Moment]) -> None:
        """Stores all moments of some files, in the place of those that the gallery has of them."""
        self.commit([write_rows(self.gallery, moments, self.manifest.fingerprint)])

    def commit(self, written: Sequence[Written]) -> None:
        """Takes in what was written, each file once, in the place of what the gallery has of the same files."""
        if self._table is None:
            self._table = create(self.uri, row_schema(written[0].width, self.manifest.fingerprint))
        files = _joined((path, *file) for own in written for path, file in own.files.items())
        self._delete(files)
        self._table = append(self._table, [fragment for own in written for fragment in own.fragments])
        self.files.update(files)
        self._publish()

    def remove(self, paths: Sequence[str]) -> None:
        """Takes files out, those that it holds."""
        if self._delete(paths):
            self._publish()

    def read(self, path: str) -> list[Moment]:
        """The moments of a file."""
        return MomentTable(self.gallery, self.manifest).of_path(path)

    def _delete(self, paths: Iterable[str]) -> list[str]:
        known = [path for path in paths if self.files.pop(path, None) is not None]
        if self._table is None:
            return known
        with one_line_errors(self.uri, GO_ON):
            for start in range(0, len(known), _PATHS_AT_ONCE):
                self._table.delete(f'path in ({text_literal(*known[start:start + _PATHS_AT_ONCE])})',
                                   conflict_retries=0)
        return known

    def failures(self) -> dict[str, str]:
        """What the last indexing listed, with the reason."""
        table = latest(table_uri(self.gallery, 'failures'))
        if table is None:
            return {}
        with one_line_errors(table.uri, GO_ON):
            rows = table.to_table()
        return dict(zip(rows['path'].to_pylist(), rows['error'].to_pylist()))

    def finish(self, failures: Mapping[str, str]) -> None:
        """Lists what failed, with the reason, and says that the gallery is complete."""
        uri, paths = table_uri(self.gallery, 'failures'), sorted(failures)
        overwrite(uri, pa.table([paths, [failures[path] for path in paths]], schema=_FAILURES), latest(uri))
        index = 0 if self._table is None else self._optimize(self._table)
        self._publish(complete=True, index=index)

    def _optimize(self, table: lance.LanceDataset) -> int:
        """Joins small fragments, drops deleted rows, and keeps the index of a large table; the checksum of that."""
        with one_line_errors(self.uri, GO_ON):
            if len(table.get_fragments()) > _FRAGMENTS:
                table.optimize.compact_files(target_rows_per_fragment=_FRAGMENT_ROWS)
            keep_index(table)
            return index_checksum(table)

    def _forget_old_versions(self) -> None:
        """Deletes what the indexing before the last one replaced, if no reader can be at it any more."""
        if time.time() - self.manifest.written > KEPT_SECONDS:
            for name in ('gallery', 'moments', 'failures'):
                if (table := latest(table_uri(self.gallery, name))) is not None:
                    with one_line_errors(table.uri, GO_ON):
                        table.cleanup_old_versions(timedelta(0))


def _stored_files(rows: Iterable[tuple]) -> dict[str, StoredFile]:
    """What rows of ``_FILE_FACTS`` say of their files."""
    return _joined((*facts, 1, checksum) for *facts, checksum in rows)


def _joined(parts: Iterable[tuple]) -> dict[str, StoredFile]:
    """Parts of files, each its path and the fields of a :class:`StoredFile`, by path."""
    files: dict[str, StoredFile] = {}
    for path, digest, size, modified, rows, checksum in parts:
        others, total = files[path][3:] if path in files else (0, 0)
        files[path] = StoredFile(digest, size, modified, others + rows, total + checksum)
    return files
