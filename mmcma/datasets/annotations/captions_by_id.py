"""Captions by id, in the forms in which projects pass data sets on."""
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmcma.datasets.annotations.media_folder import without_suffix
from mmcma.datasets.annotations.texts import check_caption, check_id
from mmcma.utils.errors import DataError, short


def captions_by_id(data: Any, path: str | Path, suffixes: Sequence[str] = ()) -> dict[str, list[str]]:
    """The captions of each item, in the order of the file.

    * ``{id: [caption, ...]}``, as mmaction2 writes it; a caption may be a list of words, as in MSVD's own file.
    * ``{id: {'enCap': [caption, ...]}}`` or rows of ``{'videoID', 'enCap'}``, VATEX's.
    * rows of ``{'video' or 'image', 'caption'}``, as LAVIS and BLIP write them, with one caption or a list; an item may
      have several rows.

    Args:
        data: What the file holds.
        path: The file, for messages.
        suffixes: Of media files, which are no part of an id.

    Raises:
        DataError: It has none of these forms, or an id or a caption is wrong; the message names the place.
    """
    found: dict[str, list[str]] = {}
    for where, name, captions in _rows(data, path):
        item_id = without_suffix(check_id(name, where), suffixes)
        if isinstance(captions, _One):
            found.setdefault(item_id, []).append(check_caption(captions.caption, where))
        elif item_id in found:
            raise DataError(f'{where}: id {short(item_id)} comes twice')
        else:
            found[item_id] = _sentences(captions, where)
    return found


class _One(NamedTuple):
    """The caption of a row that has one; its item may have other rows."""
    caption: Any


def _rows(data: Any, path: str | Path) -> list[tuple[str, Any, Any]]:
    if isinstance(data, Mapping):
        return [(f'{path}, {short(name)}', name, own.get('enCap') if isinstance(own, Mapping) else own)
                for name, own in data.items()]
    if not isinstance(data, list):
        raise DataError(f'{path}: holds {short(data)}, not a dict of captions by id nor a list of rows')
    rows = []
    for number, row in enumerate(data):
        name, captions = (next((row[key] for key in keys if key in row), None) if isinstance(row, Mapping) else None
                          for keys in (('video', 'image', 'videoID'), ('caption', 'enCap')))
        if name is None or captions is None:
            raise DataError(f"{path}, row {number}: {short(row)} has not 'video' (or 'image', 'videoID') and 'caption' "
                            "(or 'enCap')")
        # A folder before the name, as in 'val2014/x.jpg', is not needed to find it.
        name = name.rpartition('/')[2] if isinstance(name, str) else name
        one = 'caption' in row and not isinstance(captions, list)
        rows.append((f'{path}, row {number}', name, _One(captions) if one else captions))
    return rows


def _sentences(captions: Any, where: str) -> list[str]:
    if not isinstance(captions, (list, tuple)) or not captions:
        raise DataError(f'{where}: {short(captions)} where a list of captions should be')
    return [_caption(caption, f'{where}, caption {number}') for number, caption in enumerate(captions)]


def _caption(caption: Any, where: str) -> str:
    if isinstance(caption, (list, tuple)):
        if not all(isinstance(word, str) for word in caption):
            raise DataError(f'{where}: {short(caption)} is not a list of words')
        caption = ' '.join(caption)
    return check_caption(caption, where)
