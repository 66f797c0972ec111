"""mmengine's file backend with atomic writes."""
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from mmcma.utils.files import write_atomic


@register_backend('atomic')
class AtomicBackend(LocalBackend):
    """mmengine's local file backend with atomic writes: ``backend_args=dict(backend='atomic')``."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Writes bytes as the base class does, atomically."""
        write_atomic(obj, filepath)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Writes text as the base class does, atomically."""
        write_atomic(obj.encode(encoding), filepath)
