"""Files of PyTorch as tensors and plain data: reading one runs nothing that is in it.

This is the one way in for checkpoints and pretrained weights: mmengine's runner
reads through it as well (mmcma/engine/runner_loading.py).
"""
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import ZipFile, is_zipfile

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from mmcma.utils.errors import WeightsError, short

_trusted: ContextVar[bool] = ContextVar('trusted_checkpoints', default=False)

#: What PyTorch says of an object that restricted unpickling does not make.
_FOREIGN = re.compile(r'(?:GLOBAL|unrecognized function|but got) ([^\s,]+)')

_STATISTICS = ('min', 'max', 'mean', 'current')


@contextmanager
def trusted_checkpoints() -> Iterator[None]:
    """A context in which checkpoints may hold any object, and reading one runs the code that it brings.

    It is for one's own old checkpoints that :func:`load_plain` refuses; on the command line, ``--trust-checkpoint``.
    """
    token = _trusted.set(True)
    try:
        yield
    finally:
        _trusted.reset(token)


def are_trusted() -> bool:
    """Whether this is within :func:`trusted_checkpoints`."""
    return _trusted.get()


class UntrustedError(WeightsError):
    """A checkpoint holds what only :func:`trusted_checkpoints` reads."""


def refused(what: str) -> UntrustedError:
    """The error for a checkpoint of which ``what`` says the name, and what is in it."""
    return UntrustedError(f'{what}: reading it would run code that it brings. If you made it, or trust who did, add '
                        '--trust-checkpoint (in Python: `with mmcma.apis.trusted_checkpoints():`).')


def load_plain(path: str | Path, map_location: Any = 'cpu') -> Any:
    """The content of a file of ``torch.save``: tensors, containers, numbers, text, and mmengine's log of a run.

    Args:
        path: The file.
        map_location: Where its tensors go, as ``torch.load`` takes it.

    Raises:
        WeightsError: The file cannot be read, or a bit of it has changed since it was written.
        UntrustedError: It holds other objects, outside of :func:`trusted_checkpoints`.
    """
    path = Path(path).expanduser()
    try:
        damaged = _damaged_record(path)
        content = None if damaged else _unpickle(path, map_location)
    except Exception as error:  # Unpickling arbitrary bytes raises almost anything.
        if isinstance(error, UnpicklingError) and (foreign := _FOREIGN.search(str(error))):
            raise refused(f'checkpoint {str(path)!r} holds {short(foreign[1])}, not only tensors and plain '
                          'data') from error
        reason = ' '.join([type(error).__name__, *str(error).splitlines()[:1]])
        raise WeightsError(f'checkpoint {str(path)!r} cannot be read ({reason}): cut off, or no PyTorch '
                           'file.') from error
    if damaged:
        raise WeightsError(f'checkpoint {str(path)!r} is damaged: {damaged} differs from its checksum. Copy it anew '
                           'from where it was written, or take another checkpoint.')
    if isinstance(content, dict) and isinstance(content.get('meta'), dict) and not are_trusted():
        content['meta'].pop('config', None)  # mmengine runs this entry of its first versions as a program
    return content


def load_plain_from_web(address: str, map_location: Any = 'cpu') -> Any:
    """The content of a file of the web, which is fetched into PyTorch's cache once and read as :func:`load_plain` does.

    Raises:
        OSError: It cannot be fetched.
        WeightsError: As :func:`load_plain` raises it.
    """
    path = Path(torch.hub.get_dir(), 'checkpoints', Path(address).name)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(address, str(path), progress=False)
    return load_plain(path, map_location)


def _damaged_record(path: Path) -> str | None:
    """Name of the first record that is not as it was written; files of before PyTorch 1.6 have no checksums.

    PyTorch keeps a CRC-32 of every record, pickle and tensors alike, and does not look at it when it reads.
    """
    if not is_zipfile(path):
        return None
    with ZipFile(path) as archive:
        return archive.testzip()


def _unpickle(path: Path, map_location: Any) -> Any:
    if are_trusted():
        return torch.load(path, map_location=map_location, weights_only=False)
    with torch.serialization.safe_globals(_plain_types()):
        return torch.load(path, map_location=map_location, weights_only=True)


def _plain_types() -> list:
    """What else may stand in a checkpoint than what PyTorch allows: what mmengine writes of the course of a run."""
    numbers = [type(np.dtype(kind)) for kind in '?bBhHiIlLqQefd']
    scalar, reconstruct = np.float64().__reduce__()[0], np.zeros(0).__reduce__()[0]
    arrays = [np.ndarray, np.dtype, *dict.fromkeys(numbers)]
    for core in ('numpy._core.multiarray', 'numpy.core.multiarray'):  # as numpy 2 and 1 call it
        arrays += [(scalar, f'{core}.scalar'), (reconstruct, f'{core}._reconstruct')]
    return [*arrays, HistoryBuffer, (_statistic, 'builtins.getattr')]


def _statistic(owner: type, name: str) -> Any:
    """In place of ``getattr``, by which pickles name the methods that a `HistoryBuffer` keeps."""
    if owner is not HistoryBuffer or name not in _STATISTICS:
        raise UnpicklingError(f'GLOBAL builtins.getattr of {name}')
    return getattr(HistoryBuffer, name)
