"""Scripts as modules, for tests of what they do and for what runs public code."""
import importlib.util
from pathlib import Path
from types import ModuleType


def import_file(path: Path, name: str | None = None) -> ModuleType:
    """A Python file as a new module, by default of the file's name; it is not put into ``sys.modules``."""
    spec = importlib.util.spec_from_file_location(name or path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
