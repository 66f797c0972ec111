"""A user's own videos or images, listed with their captions in one file."""
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mmcma.datasets.annotations.media_folder import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from mmcma.datasets.annotations.reading import parse_json, read_lines, read_table
from mmcma.datasets.annotations.texts import check_caption, fault_of, one_name
from mmcma.datasets.retrieval_dataset import RetrievalDataset
from mmcma.registry import DATASETS
from mmcma.utils.errors import ConfigError, DataError, short


class _Row(NamedTuple):
    """One line of the file; times in seconds."""
    where: str
    item_id: str
    clip: tuple[str, float | None, float | None]
    captions: list[str]


@DATASETS.register_module()
class CaptionedFiles(RetrievalDataset):
    """Any videos or images, from ``ann_file``, a ``.jsonl`` or a ``.csv`` (either also gzipped).

    A line of JSON is ``{"path": "a.mp4", "captions": ["…", "…"]}`` or has one
    ``"caption"``; a CSV has a header with ``path`` and ``caption``. Both may
    give ``start`` and ``end`` (seconds) and ``id``; other fields are ignored.
    Lines of the same path, start and end are one item with several captions.
    Paths are relative to ``data_prefix['visual']``; an id not given is the path,
    with ``#start-end`` where there are times. No start is a start of 0; names are one in either form of Unicode.

    The file itself says how many items there should be: with ``missing='skip'``
    the gallery is the items found of those listed.
    """
    DATA_PREFIX = dict(visual='')
    LAYOUT = ('ann_file, a .jsonl or .csv with path and caption', 'the files that it names in {visual}')
    SUFFIXES = (*VIDEO_SUFFIXES, *IMAGE_SUFFIXES)
    BELOW = False  # the file says where each one lies

    def read_items(self) -> list[dict]:
        kind = Path(self.ann_file.removesuffix('.gz')).suffix
        if kind not in _READERS:
            raise ConfigError(f"CaptionedFiles: ann_file={self.ann_file!r} must be one of "
                              f"{' '.join(_READERS)}, or that with .gz")
        path = self.caption_file('')
        return _grouped(_READERS[kind](path))


def _grouped(rows: Iterator[_Row]) -> list[dict]:
    by_id: dict[str, _Row] = {}
    by_clip: dict[tuple, _Row] = {}
    for row in rows:
        first = by_id.setdefault(row.item_id, row)
        if first.clip != row.clip:
            raise DataError(f'{row.where}: id {short(row.item_id)} is {short(_name(*row.clip))} here and '
                            f'{short(_name(*first.clip))} in {first.where}')
        twin = by_clip.setdefault(row.clip, row)
        if twin.item_id != row.item_id:
            raise DataError(f'{row.where}: {short(_name(*row.clip))} is item {short(row.item_id)} here and '
                            f'{short(twin.item_id)} in {twin.where}; give it one id, or none')
        if first is not row:
            first.captions.extend(row.captions)
    return [dict(id=row.item_id, path=row.clip[0], start=row.clip[1], end=row.clip[2], captions=row.captions)
            for row in by_id.values()]


def _read_json_lines(path: Path) -> Iterator[_Row]:
    for where, line in read_lines(path):
        fields = parse_json(line, where)
        if not isinstance(fields, dict) or 'path' not in fields or ('caption' in fields) == ('captions' in fields):
            raise DataError(f'{where}: {short(line)} has not "path" and either "caption" or "captions"')
        captions = fields['captions'] if 'captions' in fields else [fields['caption']]
        if not isinstance(captions, list) or not captions:
            raise DataError(f'{where}: captions {short(captions)} are not a list of sentences')
        yield _row(where, fields, captions)


def _read_csv(path: Path) -> Iterator[_Row]:
    for where, fields in read_table(path, ['path', 'caption']):
        optional = {key: fields.get(key, '').strip() or None for key in ('start', 'end', 'id')}
        yield _row(where, {**fields, **optional}, [fields['caption']])


_READERS = {'.jsonl': _read_json_lines, '.csv': _read_csv}


def _row(where: str, fields: dict, captions: list) -> _Row:
    path = _check_path(fields['path'], where)
    start, end = (_seconds(fields.get(key), f'{where}: {key}') for key in ('start', 'end'))
    if end is not None and end <= (start or 0):
        raise DataError(f'{where}: from {start or 0} s to {end} s is no stretch of time')
    if not start:
        start = None if end is None else 0.0  # with and without a start of 0 it is one clip
    item_id = fields.get('id')
    if item_id is None:
        item_id = _name(path, start, end)
    if not isinstance(item_id, (str, int)) or isinstance(item_id, bool) or not _is_below(str(item_id).strip()):
        raise DataError(f"{where}: id {short(item_id)} is neither a name (no '..', no backslash) nor a whole number")
    return _Row(where, one_name(str(item_id).strip()), (path, start, end),
                [check_caption(caption, where) for caption in captions])


def _check_path(value: Any, where: str) -> str:
    path = one_name(value.strip()) if isinstance(value, str) else ''
    if not _is_below(path):
        raise DataError(f"{where}: path {short(value)} does not lead to a file below data_prefix['visual'] (folders "
                        "and file joined by single '/', no '..')")
    return path


def _is_below(path: str) -> bool:
    return not ({'', '.', '..'} & set(path.split('/')) or '\\' in path or fault_of(path))


def _seconds(value: Any, where: str) -> float | None:
    if value is None:
        return None
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise DataError(f'{where} {short(value)} is not a number of seconds from 0 up')
    return seconds


def _name(path: str, start: float | None, end: float | None) -> str:
    times = ['' if time is None else str(time) for time in (start, end)]
    return f"{path}#{'-'.join(times)}" if any(times) else path
