"""Files that are whole or absent, never half-written; paths as people read them."""
import os
from pathlib import Path


def write_atomic(data: bytes, path: str | Path) -> None:
    """Writes ``data`` to ``path`` such that, killed at any moment, ``path`` holds its old content or the new.

    The temporary file lies in the same folder, since a rename is atomic only
    within a file system, and has one name per target, so that the next write
    takes the place of what a killed one left. A write that fails leaves nothing.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.tmp')
    try:
        with open(temporary, 'wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:  # a full disk, Ctrl-C
        temporary.unlink(missing_ok=True)
        raise


def short_path(path: Path, base: Path | None = None) -> str:
    """The path, relative where it lies below ``base``, by default the working directory."""
    path, base = path.resolve(), (base or Path.cwd()).resolve()
    return str(path.relative_to(base) if path.is_relative_to(base) else path)
