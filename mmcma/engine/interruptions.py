"""Ends of a run that come from the machine and not from the program, as one line each."""
import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmcma.utils.errors import UserError

#: Errors of a file system that no program prevents.
_PLACE = {errno.ENOSPC: 'make room', errno.EDQUOT: 'make room within your quota', errno.EROFS: 'make it writable',
          errno.EACCES: 'make it writable', errno.EPERM: 'make it writable', errno.EIO: 'look at the disk'}
_WORKER = re.compile(r'DataLoader worker \(pid\(?s?\)? .*?\)')


class InterruptedRunError(UserError):
    """A run that ended because of the machine: its disk is full, a process of it was killed."""


@contextmanager
def machine_errors(work_dir: str | Path) -> Iterator[None]:
    """While a run goes on: what the machine ends it with says in one line what happened and how to go on.

    Args:
        work_dir: Of the run.

    Raises:
        InterruptedRunError: The disk is full or cannot be written, or a worker of a data loader died.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, UserError) or error.errno not in _PLACE:
            raise
        raise InterruptedRunError(f'{error.filename or work_dir}: {os.strerror(error.errno)}: {_PLACE[error.errno]} '
                                  f'and go on with --resume ({_what_is_there(work_dir)}).') from error
    except RuntimeError as error:
        worker = _WORKER.search(str(error))
        if isinstance(error, UserError) or worker is None:
            raise
        raise InterruptedRunError(f'{worker[0]} died, mostly for want of memory: lower train_dataloader.num_workers '
                                  f'or its batch_size and go on with --resume ({_what_is_there(work_dir)}).') from error


def _what_is_there(work_dir: str | Path) -> str:
    newest = max(Path(work_dir).glob('*_[0-9]*.pth'), key=os.path.getmtime, default=None)
    return f'{newest.name} is the newest checkpoint' if newest else 'no checkpoint was written yet'
