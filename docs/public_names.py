"""The directive ``public-names``: all that a package or module offers, by the name that it is imported by."""
import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

from docutils import nodes
from mmengine.registry import Registry
from registered_parts import registered_parts
from sphinx.util.docutils import SphinxDirective

from mmcma import registry


def public_names(module: str) -> Iterator[tuple[str, Any]]:
    """Import path and value of all that ``__all__`` names, else of what is defined there or in its modules."""
    known = import_module(module)
    if not hasattr(known, '__all__') and hasattr(known, '__path__'):
        for part in pkgutil.iter_modules(known.__path__):
            yield from public_names(f'{module}.{part.name}')
        return
    for name in getattr(known, '__all__', None) or _defined_in(known):
        yield f'{module}.{name}', getattr(known, name)


def _defined_in(module: ModuleType) -> list[str]:
    """Functions, classes and registries of a module itself, in the order of its lines."""
    return [name for name, value in vars(module).items() if not name.startswith('_') and (
        isinstance(value, Registry) or getattr(value, '__module__', None) == module.__name__)]


class PublicNames(SphinxDirective):
    """``.. public-names:: mmcma.apis``: entries of autodoc, and links to the config reference for parts of configs."""
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        registries = [name for name, value in vars(registry).items() if isinstance(value, Registry)]
        parts = {part for name in registries for part in registered_parts(name)}
        entries, links = [], []
        for path, value in public_names(self.arguments[0]):
            if inspect.isclass(value) and value in parts:
                links.append(f':class:`{value.__name__} <{value.__module__}.{value.__qualname__}>`')
            else:
                entries.append(_entry(path, value))
        if links:
            entries.append(f'Parts of configs, which stand in the config reference: {", ".join(sorted(links))}.')
        return self.parse_text_to_nodes('\n\n'.join(entries))


def _entry(path: str, value: Any) -> str:
    if inspect.isclass(value):
        return f'.. autoclass:: {path}\n   :members:'
    return f'.. auto{"function" if inspect.isroutine(value) else "data"}:: {path}'


def skip_fields(app, what, name, value, skip: bool, options) -> bool | None:
    """Leaves out the fields of named tuples, which the class's docstring describes."""
    return True if type(value).__name__ == '_tuplegetter' else None


def drop_builtin_docs(app, what, name, value, options, lines: list[str]) -> None:
    """Of a constant without a docstring autodoc would show that of its type."""
    if what == 'data' and lines[:1] == (inspect.getdoc(type(value)) or '').splitlines()[:1]:
        lines.clear()


def readable_defaults(app, what, name, value, options, signature: str | None, returns) -> tuple[str | None, str | None]:
    """``...`` for what a dataclass makes anew: autodoc cannot lay out ``<factory>``."""
    return signature and signature.replace('<factory>', '...'), returns


def setup(app) -> dict:
    app.add_directive('public-names', PublicNames)
    app.connect('autodoc-process-signature', readable_defaults)
    app.connect('autodoc-skip-member', skip_fields)
    app.connect('autodoc-process-docstring', drop_builtin_docs)
    return dict(parallel_read_safe=True)
