"""Reading configs, with one-line errors that name file, key and fix."""
import ast
import os
import traceback
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmcma.config.options import RUNNER_KEYS, replace_variable, resolve_options
from mmcma.config.places import dotted, entries
from mmcma.config.sharing import SHARED, share
from mmcma.utils.errors import ConfigError, did_you_mean, one_short_line, short

#: The package's own configs: in a checkout a link to them.
CONFIGS = Path(__file__).parents[1] / '.mim' / 'configs'


def own_config(name: str | Path) -> Path | None:
    """The file of the package's own config of that name, with or without ``.py``; None if there is none."""
    return _own_configs().get(str(name).removesuffix('.py'))


def _own_configs() -> dict[str, Path]:
    return {path.stem: path for path in sorted(CONFIGS.glob('[!_]*/*.py'))}


def load_config(path: str | Path, cfg_options: dict | None = None) -> Config:
    """A config with options merged in, and with what loaders share filled in (:mod:`mmcma.config.sharing`).

    A top-level string of the config that an option replaces (``data_root``,
    ``pretrained``) is replaced as well wherever the config used it, alone or
    as the beginning of a path.

    Args:
        path: The config file, or the name of one of the package's own, such as ``cma_tiny_glyphmotion``.
        cfg_options: Dotted key -> value, as of :func:`parse_options`.

    Raises:
        ConfigError: The file is missing or faulty, or an option changes nothing.
    """
    cfg = _read(Path(path))
    options = resolve_options(cfg, cfg_options or {})
    for key, value in options.items():
        if key in cfg and key not in RUNNER_KEYS and key not in SHARED:
            cfg = replace_variable(cfg, key, value)
    _merge(cfg, {key: value for key, value in options.items() if key.split('.')[0] in SHARED}, path)
    share(cfg)
    _merge(cfg, {key: value for key, value in options.items() if key.split('.')[0] not in SHARED}, path)
    return cfg


def _merge(cfg: Config, options: dict, path: str | Path) -> None:
    for key, value in options.items():
        try:
            cfg.merge_from_dict({key: value})
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ConfigError(f'--cfg-options {key}={short(value)} does not fit {path}: {_one_line(error)}') from error


def _read(path: Path) -> Config:
    found = path if os.path.isfile(path) else own_config(path)
    if found is None:
        beside = [file.name for file in path.parent.glob('*.py')] if os.path.isdir(path.parent) else []
        hint = did_you_mean(path.name, beside) or did_you_mean(path.stem, list(_own_configs()))
        raise ConfigError(f'config {short(str(path), 200)} does not exist.{hint}')
    path = found
    try:
        cfg = Config.fromfile(path)
        _drop_own_scope(cfg._cfg_dict)
    except SyntaxError as error:
        faulty = _first_syntax_error(path) or error
        raise ConfigError(f'config {faulty.filename!r}, line {faulty.lineno}: {faulty.msg}.') from error
    except FileNotFoundError as error:
        raise ConfigError(f'config {str(path)!r}: a _base_ file is missing: {_one_line(error)}') from error
    except Exception as error:  # A config is code: whatever it raises is its author's to mend.
        raise ConfigError(f'config {str(path)!r} cannot be read: {type(error).__name__}: {_one_line(error)}'
                          f'{_where(error)}') from error
    if path.suffix == '.py':  # mmengine reads YAML and JSON too
        _check_variables(cfg, path)
    return cfg


def _drop_own_scope(node: Any) -> None:
    """Takes out what mmengine writes into what is inherited from ``mmcma::``: types are looked up there anyway."""
    if isinstance(node, dict):
        if node.get('_scope_') == 'mmcma':
            del node['_scope_']
        node = node.values()
    elif not isinstance(node, (list, tuple)):
        return
    for child in node:
        _drop_own_scope(child)


def _check_variables(cfg: Config, path: Path) -> None:
    """Refuses a text like ``data_root`` that a file sets beside its ``_base_`` and nothing has: bases are read before.

    Raises:
        ConfigError: Parts have an entry of its name, and none of them its value.
    """
    own = _assigned(ast.parse(path.read_text(encoding='utf-8')))
    if '_base_' not in own:
        return
    texts = [(keys, text) for keys, text in entries(cfg.to_dict()) if isinstance(text, str) and keys[0] in RUNNER_KEYS]
    for name, node in own.items():
        value = getattr(node, 'value', None)
        if not isinstance(value, str) or not value or name in RUNNER_KEYS or name in SHARED:
            continue
        places = [(dotted(keys), text) for keys, text in texts if keys[-1] == name]
        if places and not any(f'{text}/'.startswith(f'{value.rstrip("/")}/') for _, text in texts):
            (place, other), *_ = places
            raise ConfigError(f'config {str(path)!r}: {name} = {value!r} has no effect: {place} is {other!r}, as what '
                              f'the file inherits was made before. Give --cfg-options {name}={value}, or set '
                              f'{" and ".join(place for place, _ in places[:3])} in the file.')


def _assigned(tree: ast.Module) -> dict[str, ast.expr]:
    """Name -> expression of what a file assigns at its top."""
    return {target.id: node.value for node in tree.body if isinstance(node, ast.Assign)
            for target in node.targets if isinstance(target, ast.Name)}


def _first_syntax_error(path: Path) -> SyntaxError | None:
    """The syntax error of a config or of its bases; mmengine's does not say in which file it is."""
    try:
        tree = ast.parse(path.read_text(encoding='utf-8'), str(path))
    except SyntaxError as error:
        return error
    except OSError:  # A missing base; the syntax error is in another file.
        return None
    if (node := _assigned(tree).get('_base_')) is not None:
        bases = ast.literal_eval(node)
        for base in [bases] if isinstance(bases, str) else bases:
            if found := _first_syntax_error(path.parent / base):
                return found
    return None


def _where(error: Exception) -> str:
    # mmengine compiles the config without a file name.
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename in ('', '<string>')]
    return f' (line {lines[-1]})' if lines else ''


def _one_line(error: Exception) -> str:
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    return one_short_line(str(text))
