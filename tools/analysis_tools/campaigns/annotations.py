"""Annotation files of every data set, changed at random: damaged bytes, wrong kinds, odd texts, missing keys.

Right is a list of sound items: texts and times that are such, of files that are there (a change may have made another
caption of one). Refused is one short line of the project's own error.
"""
import copy
import gzip
import logging
import math
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from campaigns import Outcome, Verdict
from campaigns._annotation_files import World, as_csv, as_tabs, worlds
from mmcma.utils.errors import UserError

#: Most characters of a message beside the places it names.
_LONGEST = 500
_TEXTS = ['', ' ', 'x', 'x' * 300, 'é' * 5000, 'word ' * 50000, 'bad \ud83d emoji', '\udc80', 'o\0ne', '\0', '\u2028',
          '\r', 'a\nb', 'rock &amp; roll', 'schÃ¶n', 'e\u0301', '\u202eabc', '\ufeff', '../up', '/etc/passwd', 'a/b',
          'a\\b', '.', '..', 'NaN', '1e400', '-1', '5,', '"', '""', 'None', '007', '١٢', '🔴' * 70, '#', 'a#b', '{}']
_OTHERS: list[Any] = [None, True, False, 0, -1, 7, 1.5, math.nan, math.inf, -math.inf, 10**30, 1e308, [], {}, [[]],
                      [None], ['a', 'list'], [1, 2], dict(a=1), dict(raw=None), {'': ''}, [['a']] * 3, [0] * 20000]


def trials(count: int, seed: int, folder: Path) -> Iterator[Outcome]:
    """Outcomes of ``count`` changes, the data sets in turn."""
    rng = random.Random(seed)
    known = worlds()
    logging.disable(logging.CRITICAL)
    try:
        for number in range(count):
            world = known[number % len(known)]
            place = folder / str(number)
            world.write(place)
            name = rng.choice(list(world.files))
            change = _damage(world, place / name, name, rng)
            yield _outcome(world, place, f'{world.kind} {name}: {change}', rng.choice(['error', 'skip']))
            shutil.rmtree(place)
    finally:
        logging.disable(logging.NOTSET)


def _damage(world: World, path: Path, name: str, rng: random.Random) -> str:
    """Writes one of the files anew, changed; says how."""
    file = world.files[name]
    if rng.random() < 0.3:
        change = rng.choice(_BYTES)
        path.write_bytes(change(path.read_bytes(), rng))
        return f'bytes {change.__name__}'
    content = copy.deepcopy(file.content)
    change_one = _rows if file.write in (as_csv, as_tabs) else _data
    changes = [change_one(content, rng) for _ in range(rng.choice([1, 1, 3]))]
    path.write_bytes(file.write(content))
    return '; '.join(changes)


def _outcome(world: World, folder: Path, change: str, missing: str) -> Outcome:
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            items = world.read(folder, missing=missing)
        faults = [fault for item in items if (fault := _fault(item))]
    except UserError as error:
        message = str(error).replace(str(folder), '')
        if '\n' in message or len(message) > _LONGEST:
            return Outcome(Verdict.CRASHED, f'{change}: a message of {len(message)} characters: {message[:200]!r}')
        return Outcome(Verdict.REFUSED, f'{change}: {message}')
    except Exception as error:
        return Outcome(Verdict.CRASHED, f'{change}: {type(error).__name__}: {str(error)[:200]!r}')
    if faults or not items:
        return Outcome(Verdict.WRONG, f'{change}: {faults[0] if faults else "no items"}')
    return Outcome(Verdict.RIGHT, change)


def _fault(item: dict) -> str | None:
    """What is wrong with an item that a data set gave, or None."""
    texts = [item['id'], *item['captions']]
    if not all(isinstance(text, str) and text.strip() for text in texts) or not item['captions']:
        return f'{str(item)[:200]} has an id or a caption that is no text'
    if any('\0' in text or any('\ud800' <= char <= '\udfff' for char in text) for text in texts):
        return f'{str(item)[:200]!r} holds what no text has'
    times = [item[key] for key in ('start', 'end') if item[key] is not None]
    if not all(isinstance(time, float) and math.isfinite(time) and time >= 0 for time in times):
        return f'{str(item)[:200]} has times that are none'
    return None if Path(item['path']).exists() else f'{str(item)[:200]} has no file'


# ---- changes of bytes ----

def flipped(data: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(rng.choice([1, 3, 20])):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def cut(data: bytes, rng: random.Random) -> bytes:
    return data[:rng.randrange(len(data))]


def without_a_part(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.randint(1, 40):]


def repeated(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    part = data[start:start + rng.randint(1, 200)]
    return data[:start] + part * rng.choice([2, 50]) + data[start:]


def with_junk(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + rng.randbytes(rng.randint(1, 30)) + data[start:]


def another_encoding(data: bytes, rng: random.Random) -> bytes:
    encoding = rng.choice(['utf-16', 'utf-8-sig', 'cp1252', 'utf-32-be', 'shift-jis'])
    return data.decode('utf-8', 'replace').encode(encoding, 'replace')


def another_file(data: bytes, rng: random.Random) -> bytes:
    return rng.choice([b'', b'\n', b'\0' * 50, b'\x89PNG\r\n\x1a\n' + data, gzip.compress(data), b'[' * 100000,
                       b'null', b'[]', b'{}', b'3', b'"a"', b'<html>404</html>', b'version https://git-lfs\n',
                       data * 3])


def other_line_ends(data: bytes, rng: random.Random) -> bytes:
    return data.replace(b'\n', rng.choice([b'\r', b'\r\n', b'\n\n', b'\x0b', b'\xe2\x80\xa8']))


_BYTES = [flipped, cut, without_a_part, repeated, with_junk, another_encoding, another_file, other_line_ends]


# ---- changes of data ----

def _odd(rng: random.Random) -> Any:
    return rng.choice(_TEXTS) if rng.random() < 0.6 else copy.deepcopy(rng.choice(_OTHERS))


def _data(content: Any, rng: random.Random) -> str:
    """Changes one place of nested lists and dicts; says which."""
    node, path = content, ''
    while True:
        if not isinstance(node, (list, dict)) or not node:
            return 'nothing'
        key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
        path += f'[{key!r}]'[:40]
        if not isinstance(node[key], (list, dict)) or not node[key] or rng.random() < 0.25:
            change = rng.choice(_PLACES)
            change(node, key, rng)
            return f'{path} {change.__name__}'
        node = node[key]


def replaced(node: Any, key: Any, rng: random.Random) -> None:
    node[key] = _odd(rng)


def taken_out(node: Any, key: Any, rng: random.Random) -> None:
    del node[key]


def wrapped(node: Any, key: Any, rng: random.Random) -> None:
    node[key] = rng.choice([lambda value: [value], lambda value: dict(value=value), str])(node[key])


def doubled(node: Any, key: Any, rng: random.Random) -> None:
    if isinstance(node, list):
        node.insert(rng.randrange(len(node) + 1), copy.deepcopy(node[key]))
    else:
        node[f'{key} '] = copy.deepcopy(node[key])


def renamed(node: Any, key: Any, rng: random.Random) -> None:
    if isinstance(node, dict):
        node[rng.choice(_TEXTS)] = node.pop(key)
    else:
        rng.shuffle(node)


def deepened(node: Any, key: Any, rng: random.Random) -> None:
    for _ in range(rng.choice([5, 200])):
        node[key] = [node[key]]


_PLACES: list[Callable] = [replaced, replaced, replaced, taken_out, wrapped, doubled, renamed, deepened]


def _rows(rows: list[list[str]], rng: random.Random) -> str:
    """Changes one cell or one row of a table; says which."""
    if not any(rows):
        return 'nothing'
    number = rng.choice([number for number, row in enumerate(rows) if row])
    cell = rng.randrange(len(rows[number]))
    kind = rng.choice(['replaced'] * 3 + ['cell out', 'cell added', 'row out', 'row twice', 'shuffled'])
    if kind == 'replaced':
        rows[number][cell] = rng.choice(_TEXTS)
    elif kind == 'cell out':
        del rows[number][cell]
    elif kind == 'cell added':
        rows[number].insert(cell, rng.choice(_TEXTS))
    elif kind == 'row out':
        del rows[number]
    elif kind == 'row twice':
        rows.append(list(rows[number]))
    else:
        rng.shuffle(rows)
    return f'row {number}, cell {cell} {kind}'
