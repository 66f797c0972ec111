"""Files that are whole or absent, never half-written."""
import os
from pathlib import Path
from typing import Union

from mmengine.fileio import LocalBackend, register_backend


def write_atomic(data: bytes, path: Union[str, Path]) -> None:
    """Writes ``data`` to ``path`` such that, killed at any moment, ``path`` holds its old content or the new.

    The temporary file lies in the same folder, since a rename is atomic only
    within a file system, and has one name per target, so that the next write
    takes the place of what a killed one left.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.tmp')
    with open(temporary, 'wb') as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


@register_backend('atomic')
class AtomicBackend(LocalBackend):
    """mmengine's local file backend with atomic writes: ``backend_args=dict(backend='atomic')``."""

    def put(self, obj: bytes, filepath: Union[str, Path]) -> None:
        """As the base class, atomically."""
        write_atomic(obj, filepath)

    def put_text(self, obj: str, filepath: Union[str, Path], encoding: str = 'utf-8') -> None:
        """As the base class, atomically."""
        write_atomic(obj.encode(encoding), filepath)
