"""Rows added, replaced and removed by the one process that writes a gallery; readers see each change whole or not."""
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import pyarrow as pa

from mmcma.search.manifest import GalleryManifest
from mmcma.search.moment_table import MomentTable, text_literal
from mmcma.search.rows import Moment, row_schema, to_table
from mmcma.search.tables import (
    GO_ON,
    append,
    create,
    lance,
    one_line_errors,
    overwrite,
    table_uri,
    write_fragments,
)

#: Paths of one predicate.
_PATHS_AT_ONCE = 1000
_FAILURES = pa.schema([('path', pa.string()), ('error', pa.string())])


class StoredFile(NamedTuple):
    """What the gallery knows of a file: how it was, and of its rows their number and the sum of their checksums."""
    digest: str
    size: int
    modified: int
    rows: int
    checksum: int


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
        if manifest.version:
            moments = MomentTable(gallery, manifest)
            moments.verify(manifest)
            self.files = _stored_files(moments)
            self._table = self._restored()
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
            checksum=sum(file.checksum for file in self.files.values()), **changes)
        self.manifest.write(self.gallery)

    def add(self, moments: Sequence[Moment]) -> None:
        """Stores all moments of some files, in the place of those that the gallery has of them."""
        if self._table is None:
            self._table = create(self.uri, row_schema(moments[0].frames.shape[1], self.manifest.fingerprint))
        rows = to_table(moments, self._table.schema)
        with one_line_errors(self.uri, GO_ON):
            fragments = write_fragments(rows, self.uri, schema=rows.schema)
        files = stored_files(rows)
        self._delete(files)
        self._table = append(self._table, fragments)
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
                self._table.delete(f'path in ({text_literal(*known[start:start + _PATHS_AT_ONCE])})')
        return known

    def finish(self, failures: Mapping[str, str]) -> None:
        """Lists what failed, with the reason, and says that the gallery is complete."""
        overwrite(table_uri(self.gallery, 'failures'), pa.table([sorted(failures), [
            failures[path] for path in sorted(failures)]], schema=_FAILURES))
        self._publish(complete=True)


def stored_files(rows: pa.Table) -> dict[str, StoredFile]:
    """What these rows say of their files."""
    names = ('path', 'digest', 'size', 'modified', 'checksum')
    return _joined(zip(*(rows[name].to_pylist() for name in names)))


def _stored_files(moments: MomentTable) -> dict[str, StoredFile]:
    return _joined(moments.facts('path', 'digest', 'size', 'modified', 'checksum'))


def _joined(facts) -> dict[str, StoredFile]:
    files: dict[str, StoredFile] = {}
    for path, digest, size, modified, checksum in facts:
        rows, total = files[path][3:] if path in files else (0, 0)
        files[path] = StoredFile(digest, size, modified, rows + 1, total + checksum)
    return files
