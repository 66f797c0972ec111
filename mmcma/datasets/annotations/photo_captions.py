"""Text files with the captions of Flickr's photos: a line each, in three forms."""
import re
from collections.abc import Iterator
from pathlib import Path

from mmcma.datasets.annotations.reading import read_lines, read_table
from mmcma.datasets.annotations.texts import check_caption
from mmcma.utils.errors import DataError, short

# One line of the file as it is passed on lacks the second bar.
_BARS = re.compile(r'([^|]+)\| *(\d+) *\|? +(.*)')


def photo_captions(path: Path) -> dict[str, list[str]]:
    """The captions of each photo, by file name.

    ``Flickr8k.token.txt`` and ``results_20130124.token`` have lines ``photo.jpg#0<TAB>caption``; ``captions.txt`` is
    comma-separated under ``image,caption``, and ``results.csv`` has bars under ``image_name| comment_number| comment``.

    Raises:
        DataError: A line has not the form of its file, a caption is empty, or one of a number comes twice.
    """
    found: dict[str, list[str]] = {}
    seen: dict[str, str] = {}
    for where, name, number, caption in _rows(path):
        key = f'{name}#{number}'
        if number and seen.setdefault(key, where) != where:
            raise DataError(f'{where}: {short(key)} comes twice (first in {seen[key]})')
        found.setdefault(name, []).append(check_caption(caption, where))
    return found


def _rows(path: Path) -> Iterator[tuple[str, str, str, str]]:
    """``(where, photo, number, caption)``; the number is ``''`` where the file has none."""
    kind = path.name.removesuffix('.gz')
    if kind == 'captions.txt':
        for where, row in read_table(path, ['image', 'caption']):
            yield where, row['image'], '', row['caption']
        return
    lines = read_lines(path)
    if kind.endswith('.csv') and lines and '|' in lines[0][1]:
        for where, line in lines[1:]:
            cells = _BARS.fullmatch(line)
            if cells is None:
                raise DataError(f"{where}: {short(line)} is not 'photo.jpg| 0| caption'")
            yield where, cells[1].strip(), cells[2], cells[3]
        return
    for where, line in lines:
        photo, tab, caption = line.partition('\t')
        name, mark, number = photo.rpartition('#')
        if not tab or not mark:
            raise DataError(f"{where}: {short(line)} is not 'photo.jpg#0<TAB>caption'")
        yield where, name, number, caption
