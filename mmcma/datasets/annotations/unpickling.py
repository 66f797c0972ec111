"""Pickles from the internet, read as data and never as a program."""
import io
import pickle
from pathlib import Path
from typing import Any

from mmcma.utils.errors import DataError, cause, short

# Lists, tuples, dicts, strings, bytes, numbers, booleans and None have opcodes
# of their own and need no class. These two do in the older protocols.
_ALLOWED = {(module, name): kind
            for module in ('builtins', '__builtin__')
            for name, kind in (('set', set), ('frozenset', frozenset))}


# The one in Python: in C it makes room for whatever number a place in its memory is said to have.
class _PlainUnpickler(pickle._Unpickler):

    def find_class(self, module: str, name: str) -> type:
        if (module, name) not in _ALLOWED:
            raise DataError(f'it asks for {short(module)}, {short(name)}, and a data file may hold only plain '
                            'containers, text and numbers; do not trust it')
        return _ALLOWED[module, name]


def load_plain_pickle(path: str | Path) -> Any:
    """Unpickle ``path`` if it holds builtin containers, text and numbers only.

    Raises:
        DataError: When it names any other class or function, or is damaged.
    """
    try:
        # Python 2 wrote some of these files: its byte strings are text here.
        return _PlainUnpickler(io.BytesIO(Path(path).read_bytes()), encoding='utf-8').load()
    except DataError as error:
        raise DataError(f'{path}: refused: {error}') from None
    except Exception as error:  # a damaged pickle can raise almost anything
        raise DataError(f'{path}: not a readable pickle ({cause(error)}); '
                        'truncated download?') from error
