"""The table of a gallery's moments, at one version."""
from collections.abc import Iterator
from math import isfinite

import numpy as np
import pyarrow as pa

from mmcma.search.manifest import GalleryManifest, repair_command
from mmcma.search.rows import FACTS, Moment, check_first_stage, from_table
from mmcma.search.tables import lance, latest, one_line_errors, table_uri
from mmcma.utils.errors import DataError

#: Rows from which the first stage asks an index, IVF_PQ, in place of every row; docs/scale.md has what was measured.
INDEXED_FROM = 50_000
#: Of the index, how many cells a query looks into, and how many times as many rows as are wanted it compares exactly.
_PROBES, _REFINED = 50, 5


class MomentTable:
    """What one commit left: it stays as it is while a writer goes on.

    Args:
        gallery: The gallery's folder or URI.
        manifest: Says which version is meant.

    Raises:
        DataError: It is missing or damaged.
    """

    def __init__(self, gallery: str, manifest: GalleryManifest) -> None:
        self.uri, self.remedy = table_uri(gallery, 'moments'), f'The gallery is damaged; {repair_command(gallery)}'
        table = latest(self.uri, manifest.version)
        if table is None:
            raise DataError(f'{self.uri}: version {manifest.version} is missing. {self.remedy}')
        self._table: lance.LanceDataset = table
        self._indexed = bool(table.describe_indices())

    def __len__(self) -> int:
        with one_line_errors(self.uri, self.remedy):
            return self._table.count_rows()

    def verify(self, manifest: GalleryManifest) -> None:
        """Reads what an exact first stage reads, and compares it with what was written.

        Where there is an index, only the number of rows; each row that a query finds is compared anyway.

        Raises:
            DataError: It differs; the message names the file.
        """
        if self._indexed:
            rows, total = len(self), manifest.checksum
        else:
            rows, total = self._sums()
        if (rows, total) != (manifest.rows, manifest.checksum):
            raise DataError(f'{self.uri}: {rows:,} rows where there were {manifest.rows:,}, or others. {self.remedy}')

    def _sums(self) -> tuple[int, int]:
        """How many rows there are, and the sum of their checksums, once each is compared with its own."""
        rows = total = 0
        for fragment in self._table.get_fragments():
            file = f'{self.uri}/data/{fragment.data_files()[0].path}'
            with one_line_errors(file, self.remedy):
                for batch in fragment.to_batches(columns=[*FACTS, 'vector', 'checksum']):
                    total += check_first_stage(batch)
                    rows += len(batch)
        return rows, total

    def facts(self, *names: str) -> Iterator[tuple]:
        """These columns of all rows."""
        with one_line_errors(self.uri, self.remedy):
            for batch in self._table.to_batches(columns=list(names)):
                yield from zip(*(batch[name].to_pylist() for name in names))

    def search(self, vector: np.ndarray, limit: int, *, folder: str = '',
               seconds: tuple[float, float] | None = None) -> list[Moment]:
        """The moments with the largest inner products, best first.

        Args:
            vector: float32 ``(D,)`` of length 1.
            limit: How many.
            folder: Only files below it; relative to the gallery's root.
            seconds: Only files that last as long: shortest and longest.
        """
        terms = []
        if folder:  # what begins with 'folder/': '0' is the character after '/'
            terms.append(f'path >= {text_literal(folder + "/")} and path < {text_literal(folder + "0")}')
        if seconds:
            terms += [f'duration {sign} {float(bound)!r}'
                      for sign, bound in zip(('>=', '<='), seconds) if isfinite(bound)]
        near = dict(column='vector', q=vector, k=limit, metric='dot')
        if self._indexed:
            near.update(nprobes=_PROBES, refine_factor=_REFINED)
        return self._read(filter=' and '.join(terms) or None, prefilter=True, nearest=near)

    def of_path(self, path: str) -> list[Moment]:
        """The moments of a file, in the order of time."""
        return sorted(self._read(filter=f'path = {text_literal(path)}'), key=lambda moment: moment.start)

    def _read(self, **which) -> list[Moment]:
        with one_line_errors(self.uri, self.remedy):
            rows: pa.Table = self._table.scanner(self._table.schema.names, disable_scoring_autoprojection=True,
                                                 **which).to_table()
            return from_table(rows)


def text_literal(*values: str) -> str:
    """Texts in Lance's SQL, with commas."""
    return ', '.join("'" + value.replace("'", "''") + "'" for value in values)
