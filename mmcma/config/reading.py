"""Reading configs, with one-line errors that name file, key and fix."""
import ast
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

from mmengine.config import Config, DictAction

from mmcma.config.sharing import SHARED, check_shared_option, share
from mmcma.utils.errors import ConfigError, did_you_mean

#: Top-level keys that mmengine's Runner or the tools read; others are variables for use within a config.
RUNNER_KEYS = frozenset({
    'model', 'work_dir', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'train_cfg', 'val_cfg',
    'test_cfg', 'auto_scale_lr', 'optim_wrapper', 'param_scheduler', 'val_evaluator', 'test_evaluator',
    'default_hooks', 'custom_hooks', 'data_preprocessor', 'load_from', 'resume', 'launcher', 'env_cfg',
    'log_processor', 'log_level', 'visualizer', 'default_scope', 'randomness', 'experiment_name',
    'model_wrapper_cfg', 'sync_bn', 'find_unused_parameters', 'activation_checkpointing',
    'efficient_conv_bn_eval', 'compile', 'custom_imports', 'strategy',
})


def load_config(path: str | Path, cfg_options: dict | None = None) -> Config:
    """A config with options merged in, and with what loaders share filled in (:mod:`mmcma.config.sharing`).

    A top-level string of the config that an option replaces (``data_root``,
    ``pretrained``) is replaced as well wherever the config used it, alone or
    as the beginning of a path.

    Args:
        path: The config file.
        cfg_options: Dotted key -> value, as of :func:`parse_options`.

    Raises:
        ConfigError: The file is missing or faulty, or an option changes nothing.
    """
    cfg = _read(Path(path))
    for key, value in (cfg_options or {}).items():
        _check_option(cfg, key, value)
    for key, value in (cfg_options or {}).items():
        old = cfg.get(key)
        if isinstance(old, str) and isinstance(value, str) and key not in RUNNER_KEYS:
            cfg = Config(_replace(cfg.to_dict(), old, value), filename=cfg.filename)
    shared = {key: value for key, value in (cfg_options or {}).items() if key.split('.')[0] in SHARED}
    _merge(cfg, shared, path)
    share(cfg)
    _merge(cfg, {key: value for key, value in (cfg_options or {}).items() if key not in shared}, path)
    return cfg


def _merge(cfg: Config, options: dict, path: str | Path) -> None:
    try:
        cfg.merge_from_dict(options)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ConfigError(f'--cfg-options {options} do not fit {path}: {_one_line(error)}') from error


def parse_options(pairs: Iterable[str]) -> dict:
    """``KEY=VALUE`` strings as mmengine reads them: numbers, booleans, None, lists and tuples in brackets.

    Raises:
        ConfigError: A string has no ``=``, or its brackets do not match.
    """
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition('=')
        if not (key and equals):
            raise ConfigError(f'--cfg-options {pair!r} must be KEY=VALUE, as in train_cfg.max_epochs=1.')
        try:
            options[key] = DictAction._parse_iterable(value)
        except AssertionError as error:
            raise ConfigError(f'--cfg-options {pair!r}: {_one_line(error)}') from error
    return options


def _read(path: Path) -> Config:
    if not path.is_file():
        names = [file.name for file in path.parent.glob('*.py')] if path.parent.is_dir() else []
        raise ConfigError(f'config {str(path)!r} does not exist.{did_you_mean(path.name, names)}')
    try:
        return Config.fromfile(path)
    except SyntaxError as error:
        faulty = _first_syntax_error(path) or error
        raise ConfigError(f'config {faulty.filename!r}, line {faulty.lineno}: {faulty.msg}.') from error
    except FileNotFoundError as error:
        raise ConfigError(f'config {str(path)!r}: a _base_ file is missing: {_one_line(error)}') from error
    except Exception as error:  # A config is code: whatever it raises is its author's to mend.
        raise ConfigError(f'config {str(path)!r} cannot be read: {type(error).__name__}: {_one_line(error)}'
                          f'{_where(error)}') from error


def _first_syntax_error(path: Path) -> SyntaxError | None:
    """The syntax error of a config or of its bases; mmengine's does not say in which file it is."""
    try:
        tree = ast.parse(path.read_text(encoding='utf-8'), str(path))
    except SyntaxError as error:
        return error
    except OSError:  # A missing base; the syntax error is in another file.
        return None
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', None) == '_base_':
            bases = ast.literal_eval(node.value)
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
    return ' '.join(str(text).split())


def _check_option(cfg: Config, key: str, value) -> None:
    top, *rest = key.split('.')
    if top not in cfg and top not in RUNNER_KEYS:
        raise ConfigError(f'--cfg-options {key}: {cfg.filename} has no {top!r}.'
                          f'{did_you_mean(top, sorted({*cfg.keys(), *RUNNER_KEYS}))}')
    if top in SHARED and top in cfg:
        check_shared_option(cfg, key, value)
        return
    if rest or top in RUNNER_KEYS or isinstance(cfg[top], str):
        return
    places = [path for path, _ in _paths(cfg.to_dict()) if path.split('.')[-1] == top and path != top]
    hint = f'; set {" or ".join(places[:3])}' if places else ''
    raise ConfigError(f'--cfg-options {key}={value}: {top!r} is a variable of {cfg.filename}, used when the '
                      f'file was read; changing it now has no effect{hint}.')


def _paths(node, path: str = '') -> Iterator[tuple[str, object]]:
    if not isinstance(node, (dict, list, tuple)):
        return
    for key, child in node.items() if isinstance(node, dict) else enumerate(node):
        here = f'{path}.{key}' if path else str(key)
        yield here, child
        yield from _paths(child, here)


def _replace(node, old: str, new: str):
    if isinstance(node, dict):
        return {key: _replace(child, old, new) for key, child in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(_replace(child, old, new) for child in node)
    if node == old:
        return new
    if isinstance(node, str) and old and node.startswith(f'{old.rstrip("/")}/'):
        return f'{new.rstrip("/")}/{node[len(old.rstrip("/")) + 1:]}'
    return node
