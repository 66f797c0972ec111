"""Tables of LanceDB, in a folder or at any URI that it takes, with errors of one line."""
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa

from mmcma.utils.errors import ConfigError, DataError

os.environ.setdefault('LANCE_LOG', 'error')  # what fails is raised here
try:
    import lance
    from lance.commit import CommitConflictError
    from lance.file import LanceFileSession
    from lance.fragment import FragmentMetadata, write_fragments
except ImportError as error:
    raise ConfigError(f"galleries need Lance ({error}); install it with pip install 'mmcma[search]'") from error

# The processes that decode are forked and do not use it.
warnings.filterwarnings('ignore', message='lance is not fork-safe')

#: What follows from a commit that failed.
GO_ON = 'What was indexed so far is whole; mmcma index goes on where it stopped'
__all__ = ['GO_ON', 'FragmentMetadata', 'LanceFileSession', 'append', 'create', 'is_local', 'lance', 'latest',
           'one_line_errors', 'overwrite', 'table_uri', 'write_fragments']


def is_local(uri: str) -> bool:
    """Whether it is a folder of this machine."""
    return '://' not in uri


def table_uri(gallery: str, name: str) -> str:
    """Where a gallery's table lies: LanceDB's own layout of a database."""
    return f'{gallery.rstrip("/")}/{name}.lance'


@contextmanager
def one_line_errors(uri: str, remedy: str = '') -> Iterator[None]:
    """A context in which whatever Lance raises, its panics too, is a DataError that names ``uri``.

    An interruption stays one, also where Lance makes an error of its own of it.
    """
    try:
        yield
    except BaseException as error:
        if 'error: KeyboardInterrupt' in str(error):
            raise KeyboardInterrupt from error
        panic = type(error).__name__ == 'PanicException'  # of Rust, and no Exception
        if not panic and not isinstance(error, (OSError, ValueError, RuntimeError, KeyError, pa.ArrowException)):
            raise
        # What follows is places in Lance's source.
        reason = ' '.join(str(error).split(', /')[0].split()) or type(error).__name__
        raise DataError(f'{uri}: {reason[:300]}{remedy and ". "}{remedy}') from error


def latest(uri: str, version: int | None = None) -> lance.LanceDataset | None:
    """A table as it was last committed, or at one version; None where there is none.

    Raises:
        DataError: It cannot be read.
    """
    with one_line_errors(uri):
        try:
            return lance.dataset(uri, version)
        except ValueError as error:
            if 'was not found' in str(error):
                return None
            raise


def create(uri: str, schema: pa.Schema) -> lance.LanceDataset:
    """A new table without rows, in the place of what is there."""
    with one_line_errors(uri, GO_ON):
        return lance.write_dataset(schema.empty_table(), uri, schema=schema, mode='overwrite')


def append(table: lance.LanceDataset, fragments: Sequence[FragmentMetadata]) -> lance.LanceDataset:
    """Commits what :func:`write_fragments` wrote, here or in another process.

    Raises:
        DataError: It cannot be written, or another process has changed it.
    """
    return _commit(table, lance.LanceOperation.Append(list(fragments)))


def overwrite(uri: str, rows: pa.Table, table: lance.LanceDataset | None) -> lance.LanceDataset:
    """Makes ``rows`` all of a table; None where there is none yet.

    Raises:
        DataError: It cannot be written, or another process has changed or made it.
    """
    with one_line_errors(uri, GO_ON):
        if table is None:
            return lance.write_dataset(rows, uri, mode='create')
        fragments = write_fragments(rows, uri, mode='overwrite')
    return _commit(table, lance.LanceOperation.Overwrite(rows.schema, fragments))


def _commit(table: lance.LanceDataset, change: lance.LanceOperation.BaseOperation) -> lance.LanceDataset:
    with one_line_errors(table.uri, GO_ON):
        try:
            return lance.LanceDataset.commit(table, change, table.version, max_retries=0)
        except CommitConflictError as error:
            raise ValueError('another process has written it meanwhile') from error
