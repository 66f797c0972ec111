"""Annotation files, read strictly: what is wrong is named by file and line.

Any of them may be gzipped (``.gz``).
"""
import csv
import gzip
import io
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmcma.datasets.annotations.texts import check_id
from mmcma.utils.errors import DataError, cause, few, short


def read_text(path: str | Path) -> str:
    """The text of a UTF-8 file; a byte order mark is dropped.

    Raises:
        DataError: When it cannot be read, or is not UTF-8 (with the line).
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        if path.suffix == '.gz':
            data = gzip.decompress(data)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f'{path}: not a whole gzip file ({error}); truncated download?') from error
    except OSError as error:
        raise DataError(f'{path}: cannot be read ({error.strerror or error})') from error
    try:
        return data.decode('utf-8').removeprefix('\ufeff')
    except UnicodeDecodeError as error:
        line = data[:error.start].count(b'\n') + 1
        raise DataError(f'{path}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8; '
                        'convert the file to UTF-8') from error


def read_json(path: str | Path) -> Any:
    """Reads a JSON file with :func:`parse_json`."""
    return parse_json(read_text(path), str(path))


def parse_json(text: str, where: str) -> Any:
    """Reads JSON; of two equal keys, unlike with ``json.loads``, none is dropped in silence.

    Raises:
        DataError: When ``text`` is not JSON, with line and column, or an object has a key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise DataError(f'{where}: not JSON ({cause(error)}); truncated file?') from error
    except (ValueError, RecursionError) as error:  # a key twice, a number of 5,000 digits, a thousand brackets
        raise DataError(f'{where}: not an annotation file ({error})') from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f'the key {short(twice)} comes twice')
    return fields


def read_lines(path: str | Path) -> list[tuple[str, str]]:
    """``(where, line)`` for each line that is not blank; ``where`` is ``'FILE, line N'``."""
    lines = enumerate(read_text(path).split('\n'), start=1)
    return [(f'{path}, line {number}', line.rstrip('\r')) for number, line in lines if line.strip()]


def read_table(path: str | Path, columns: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """``(where, row)`` for each row of a comma-separated file with a header.

    Raises:
        DataError: When the header lacks one of ``columns`` or has one twice, or a row has another number of cells.
    """
    reader = csv.DictReader(io.StringIO(read_text(path), newline=''), strict=True)
    try:
        header = reader.fieldnames or ()
        missing = [column for column in columns if column not in header]
        if missing or len(set(header)) < len(header):
            what = f"no column {', '.join(missing)}" if missing else 'a column twice'
            raise DataError(f'{path}: {what} (its header is {short(reader.fieldnames)}); is it the right file?')
        rows = []
        for row in reader:
            where = f'{path}, line {reader.line_num}'
            if None in row or None in row.values():
                raise DataError(f'{where}: not as many cells as the header has (a comma in a cell needs "quotes" '
                                'around it)')
            rows.append((where, row))
        return rows
    except csv.Error as error:
        raise DataError(f'{path}, line {reader.line_num}: not CSV ({error})') from error


def read_ids(rows: Iterable[tuple[str, str]]) -> list[str]:
    """The ids of ``(where, id)`` rows.

    Raises:
        DataError: When an id cannot be a file name or comes twice.
    """
    seen: dict[str, str] = {}
    where = None
    for where, value in rows:
        item_id = check_id(value, where)
        if item_id in seen:
            raise DataError(f'{where}: id {short(item_id)} comes twice (first in {seen[item_id]})')
        seen[item_id] = where
    return list(seen)


def check_all_captioned(ids: Sequence[str], captions: Mapping[str, Sequence], path: str | Path, split: str, *,
                        items: str = 'videos', texts: str = 'captions') -> None:
    """Refuses a file that leaves some of the split's ids without caption: a DataError counts and names them."""
    bare = [item_id for item_id in ids if not captions.get(item_id)]
    if bare:
        raise DataError(f"{path}: no {texts} for {len(bare):,} of the {len(ids):,} {items} of "
                        f"{split!r}, e.g. {few(bare)}")
