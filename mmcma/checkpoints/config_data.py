"""Configs as data: what a checkpoint or an exported folder holds of one, read without running anything.

A config file is a program, and its author's to answer for. What travels with
weights is none: plain containers, in which a ``type`` is the name of a part
that is registered already.
"""
import ast
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.registry import Registry

from mmcma.config.places import dotted, entries
from mmcma.models.backbones.mmpretrain_tower import BACKBONES
from mmcma.registry import MODELS, TRANSFORMS
from mmcma.utils.errors import ConfigError, short

#: Packages whose parts need no import of the user's.
_PACKAGES = ('mmcma', 'mmengine', 'mmcv', 'mmpretrain')
#: Of a config that came with weights, what is built.
_BUILT = ('model', 'test_dataloader')


def plain_config(node: Any) -> Any:
    """A config, or a part of one, in dicts, lists, tuples, text, numbers and None; anything else becomes its text."""
    if isinstance(node, Mapping):
        return {key: plain_config(child) for key, child in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(map(plain_config, node))
    return node if node is None or isinstance(node, (str, int, float)) else str(node)


def parse_config_text(text: str) -> dict[str, Any]:
    """The values of a config's text, as checkpoints held it once: assignments of literals and of ``dict(...)``.

    Raises:
        ValueError: The text has other statements, which only running it could read, or is no Python.
    """
    try:
        return _literals(text)
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(str(error)) from error


def _literals(text: str) -> dict[str, Any]:
    values = {}
    for statement in ast.parse(text).body:
        try:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    values[name] = ast.literal_eval(_Dicts().visit(value))
                case _:
                    raise ValueError('not an assignment')
        except ValueError as error:
            raise ValueError(f'line {statement.lineno}: {short(ast.unparse(statement))}') from error
    return values


class _Dicts(ast.NodeTransformer):
    """``dict(a=1)`` and ``dict({'a': 1})`` as ``{'a': 1}``."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        names = [keyword.arg for keyword in node.keywords]
        given = [argument for argument in node.args if isinstance(argument, ast.Dict)]
        plain = None not in names and len(given) == len(node.args) <= 1
        if isinstance(node.func, ast.Name) and node.func.id == 'dict' and plain:
            keys = [key for own in given for key in own.keys]
            values = [value for own in given for value in own.values] + [keyword.value for keyword in node.keywords]
            return ast.Dict([*keys, *map(ast.Constant, names)], values)
        return node


def loaded_config(content: Any, place: str, kind: str) -> Config:
    """The config that came with weights, without what it would have imported.

    Args:
        content: Plain data.
        place: File or name, for errors.
        kind: What that is: ``'an exported adapter'`` or ``'a checkpoint'``.

    Raises:
        ConfigError: It is no config, or names what would be imported or fetched: a type with a module, a scope.
    """
    if not isinstance(content, Mapping) or not all(isinstance(content.get(part, {}), Mapping) for part in _BUILT):
        raise ConfigError(f'{place}: {short(content)} is no config.')
    for part in _BUILT:
        for keys, value in entries(content.get(part, {}), part):
            if (fault := _fault(keys[-1], value)) is not None:
                raise ConfigError(f'{place}: {dotted(keys)}={short(value)} is refused in {kind}, {fault}')
    try:
        return Config({key: value for key, value in content.items() if key != 'custom_imports'})
    except KeyError as error:  # mmengine reserves a few names
        raise ConfigError(f'{place} holds no config: {error}') from error


def _fault(key: str | int, value: Any) -> str | None:
    if key == 'type' and not _is_name(value):
        return 'where a type must be a registered name without its module; import your own parts with --import MODULE.'
    if key in ('init_cfg', '_scope_', '_base_') and value is not None:
        return 'where nothing may name what else is read or imported.'
    if key == 'attn_implementation' and '/' in str(value):
        return 'where attention must be one of those installed, and not code of a Hub; set it in a config of your own.'
    return None


def _is_name(value: Any) -> bool:
    scope, _, name = str(value).rpartition('.')
    return isinstance(value, str) and name.isidentifier() and (
        scope in ('', 'mmcma') or scope == 'mmpretrain' and name in BACKBONES)


def check_registered(config: Mapping[str, Any], requires: list[str], where: str) -> None:
    """Refuses a config one of whose parts nobody registered: looking it up would import a module of that name.

    Args:
        config: What a checkpoint or an exported folder holds.
        requires: Modules that its parts come from.
        where: What errors call it.

    Raises:
        ConfigError: A part is missing.
    """
    for path, name in _built(config):
        if _part(path, name) is None:
            modules = missing_modules(requires) or ['MODULE']
            raise ConfigError(f'{where}: {path}={name!r} is no part of mmcma; it comes from a module that is not '
                              f'imported: add {" ".join(f"--import {module}" for module in modules)} if you trust it '
                              f'(in Python: import {", ".join(modules)}).')


def imports_of(content: Mapping[str, Any]) -> list[str]:
    """The modules that a config's ``custom_imports`` names; they are not imported."""
    imports = content.get('custom_imports')
    named = imports.get('imports') if isinstance(imports, Mapping) else None
    return module_names([named] if isinstance(named, str) else named)


def module_names(named: Any) -> list[str]:
    """The entries of a list that can be names of modules: what is shown of a file shows no more."""
    texts = [name for name in named if isinstance(name, str)] if isinstance(named, (list, tuple)) else []
    return [name for name in texts if all(part.isidentifier() for part in name.split('.'))]


def missing_modules(requires: list[str]) -> list[str]:
    """The modules that are not imported yet."""
    return [module for module in requires if module not in sys.modules]


def required_modules(config: Mapping[str, Any]) -> list[str]:
    """The modules, other than this project's, that define what a config's model and frames are built from."""
    parts = [_part(path, name) for path, name in _built(config)]
    modules = {part.__module__ for part in parts if part is not None}
    return sorted(module for module in modules if module.partition('.')[0] not in _PACKAGES)


def _built(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Place and name of each type that is built of a loaded config: in the model, and in the steps that make frames."""
    for part in _BUILT:
        for keys, value in entries(config.get(part), part):
            if keys[-1] == 'type' and (part == 'model' or 'pipeline' in keys):
                yield dotted(keys), value


def _part(path: str, name: str) -> Any:
    """What is registered under a name, in our registry or in one above; nothing is imported for it but ours."""
    registries = [TRANSFORMS] if '.pipeline.' in path else [MODELS]
    if '.backbone.' in path:  # of MMPretrainTower, which builds it there
        registries += _mmpretrain_models()
    for registry in registries:
        registry.import_from_location()
        while registry is not None:
            if (part := registry.module_dict.get(name.rpartition('.')[2])) is not None:
                return part
            registry = registry.parent
    return None


def _mmpretrain_models() -> list[Registry]:
    try:
        import mmpretrain.models  # noqa: F401
        from mmpretrain.registry import MODELS as MMPRETRAIN
    except (ImportError, RuntimeError):  # whoever builds the tower says what is missing
        return []
    return [MMPRETRAIN]
