"""Captions and names as they stand in annotation files: each checked, each in one form."""
import unicodedata
from typing import Any

from mmcma.utils.errors import DataError, short


def check_caption(value: Any, where: str) -> str:
    """``value`` without surrounding blanks, if it is text.

    Raises:
        DataError: It is no text, is empty, or holds what no text has: a NUL or half a surrogate pair.
    """
    if not isinstance(value, str):
        raise DataError(f'{where}: caption {short(value)} is not text')
    caption = value.strip()
    if not caption:
        raise DataError(f'{where}: empty caption')
    if (fault := fault_of(caption)) is not None:
        raise DataError(f'{where}: caption {short(caption)} holds {fault}; write the character meant, or leave it out')
    return caption


def check_id(value: Any, where: str) -> str:
    """``value`` without surrounding blanks and composed (NFC), if it is text that names a file in one folder.

    Raises:
        DataError: Otherwise; ids must not lead out of the data folder.
    """
    item_id = one_name(value.strip()) if isinstance(value, str) else value
    if not isinstance(item_id, str) or item_id in ('', '.', '..') or set('/\\') & set(item_id) or fault_of(item_id):
        raise DataError(f'{where}: {short(value)} is not an id (a file name without its folder)')
    return item_id


def one_name(name: str) -> str:
    """A name with its accents composed (NFC): file systems and programs write them in either form."""
    return name if name.isascii() else unicodedata.normalize('NFC', name)


def fault_of(text: str) -> str | None:
    """What stands in ``text`` that no text may hold, in words; None where nothing does."""
    if '\0' in text:
        return 'a NUL character'
    if not text.isascii():
        half = next((char for char in text if '\ud800' <= char <= '\udfff'), None)
        if half is not None:
            return f'half a surrogate pair, U+{ord(half):04X} (a character outside of the BMP that was cut)'
    return None
