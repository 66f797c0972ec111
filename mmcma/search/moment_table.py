"""The table of a gallery's moments, at one version."""
from collections.abc import Iterator
from math import isfinite

import numpy as np
import pyarrow as pa

from mmcma.search.manifest import GalleryManifest, repair_command
from mmcma.search.rows import FACTS, Moment, check_first_stage, from_table
from mmcma.search.tables import lance, latest, one_line_errors, table_uri
from mmcma.search.vector_index import index_checksum, indexed_fragments
from mmcma.utils.errors import DataError

#: Of an index, how many cells a query looks into, and how many times as many rows as are wanted are compared exactly.
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
        with one_line_errors(self.uri, self.remedy):
            self._indexed = indexed_fragments(table)

    def __len__(self) -> int:
        with one_line_errors(self.uri, self.remedy):
            return self._table.count_rows()

    def verify(self, manifest: GalleryManifest) -> None:
        """Compares with what was written what decides which rows a query finds.

        Without an index that is all that the first stage reads; with one, the index, how many rows there are, and those
        that are not in it. Each row that a query finds is compared anyway.

        Raises:
            DataError: It differs; the message names the file.
        """
        with one_line_errors(self.uri, self.remedy):
            index = index_checksum(self._table)
        if index != manifest.index:
            raise DataError(f'{self.uri}/_indices: the index of vectors is not what was written. {self.remedy}')
        rows, total = self._sums()
        if (rows, total) != (manifest.rows, manifest.checksum):
            raise DataError(f'{self.uri}: {rows:,} rows where there were {manifest.rows:,}, or others. {self.remedy}')

    def _sums(self) -> tuple[int, int]:
        """How many rows there are, and the sum of their checksums; those that are in no index agree with theirs."""
        rows = total = 0
        for fragment in self._table.get_fragments():
            compared = fragment.fragment_id not in self._indexed
            file = f'{self.uri}/data/{fragment.data_files()[0].path}'
            with one_line_errors(file, self.remedy):
                for batch in fragment.to_batches(columns=[*FACTS, 'vector', 'checksum'] if compared else ['checksum']):
                    total += check_first_stage(batch) if compared else int(batch['checksum'].to_numpy().sum())
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
        near: dict = dict(column='vector', q=vector, metric='dot')
        condition = ' and '.join(terms) or None
        if self._indexed:
            return self._refined(near, limit, condition)
        return self._read(self._scan(self._table.schema.names, condition, nearest=dict(near, k=limit)))

    def _refined(self, near: dict, limit: int, condition: str | None) -> list[Moment]:
        """The best of those that the index finds, once their vectors are what was written, and of rows not in it."""
        names = [*FACTS, 'vector', 'checksum', '_rowid']
        # Asked for both at once, Lance would compare vectors of the first that nobody has checked.
        parts = [self._scan(names, condition, fast_search=True,
                            nearest=dict(near, k=limit * _REFINED, nprobes=_PROBES))]
        if others := [fragment for fragment in self._table.get_fragments()
                      if fragment.fragment_id not in self._indexed]:
            parts.append(self._scan(names, condition, fragments=others, nearest=dict(near, k=limit, use_index=False)))
        rows = pa.concat_tables(parts)
        with one_line_errors(self.uri, self.remedy):
            for batch in rows.to_batches():
                check_first_stage(batch)
        vectors = rows['vector'].combine_chunks().flatten().to_numpy().reshape(-1, len(near['q']))
        best = np.argsort(-(vectors @ near['q']), kind='stable')[:limit]
        return self._rows(rows['_rowid'].to_numpy()[best].tolist())

    def _rows(self, numbers: list[int]) -> list[Moment]:
        """The moments with these numbers of Lance's, in this order."""
        if not numbers:
            return []
        found = self._scan([*self._table.schema.names, '_rowid'], f'_rowid in ({", ".join(map(str, numbers))})')
        moments = dict(zip(found['_rowid'].to_pylist(), self._read(found)))
        return [moments[number] for number in numbers]

    def of_path(self, path: str) -> list[Moment]:
        """The moments of a file, in the order of time."""
        return sorted(self._read(self._scan(self._table.schema.names, f'path = {text_literal(path)}')),
                      key=lambda moment: moment.start)

    def _scan(self, names: list[str], condition: str | None = None, **options) -> pa.Table:
        with one_line_errors(self.uri, self.remedy):
            return self._table.scanner(names, condition, prefilter=True, disable_scoring_autoprojection=True,
                                       **options).to_table()

    def _read(self, rows: pa.Table) -> list[Moment]:
        with one_line_errors(self.uri, self.remedy):
            return from_table(rows)


def text_literal(*values: str) -> str:
    """Texts in Lance's SQL, with commas."""
    return ', '.join("'" + value.replace("'", "''") + "'" for value in values)
