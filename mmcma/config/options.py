"""Options of the command line: values that replace those of a config, each by the name of its place."""
from collections.abc import Iterable, Mapping
from typing import Any

from mmengine.config import Config, DictAction

from mmcma.config.places import dotted, entries
from mmcma.config.sharing import SHARED, check_shared_option
from mmcma.utils.errors import ConfigError, did_you_mean, short

#: Top-level keys that mmengine's Runner or the tools read; others are variables for use within a config.
RUNNER_KEYS = frozenset({
    'model', 'work_dir', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'train_cfg', 'val_cfg',
    'test_cfg', 'auto_scale_lr', 'optim_wrapper', 'param_scheduler', 'val_evaluator', 'test_evaluator',
    'default_hooks', 'custom_hooks', 'data_preprocessor', 'load_from', 'resume', 'launcher', 'env_cfg',
    'log_processor', 'log_level', 'visualizer', 'default_scope', 'randomness', 'experiment_name',
    'model_wrapper_cfg', 'sync_bn', 'find_unused_parameters', 'activation_checkpointing',
    'efficient_conv_bn_eval', 'compile', 'custom_imports', 'strategy',
})
#: Those that are texts, where a config does not have them too.
_TEXTS = frozenset({'work_dir', 'load_from', 'launcher', 'log_level', 'default_scope', 'experiment_name'})
_CLOSING = {'[': ']', '(': ')', '{': '}'}


class OptionText(str):
    """The VALUE of ``KEY=VALUE`` as it was written; what it means depends on what the config has in its place."""


def parse_options(pairs: Iterable[str]) -> dict[str, Any]:
    """``KEY=VALUE`` strings by their keys; :func:`mmcma.config.load_config` reads the values.

    Where the config has a text, a value is that text. Elsewhere values are read as mmengine reads them (numbers,
    booleans, None, lists and tuples), and so are dicts, as in ``hooks=[dict(type=EMAHook, momentum=0.1)]``;
    quotes make a text of anything.

    Raises:
        ConfigError: A string has no ``=``, or a key comes twice.
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition('=')
        if not (key and equals):
            raise ConfigError(f'--cfg-options {short(pair)} must be KEY=VALUE, as in train_cfg.max_epochs=1.')
        if key in options:
            raise ConfigError(f'--cfg-options {key} comes twice, as {short(str(options[key]))} and {short(value)}.')
        options[key] = OptionText(value)
    return options


def resolve_options(cfg: Config, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as values, checked.

    Raises:
        ConfigError: A key is unknown, a text cannot be read, or an option would change nothing.
    """
    values = {key: _value(cfg, key, value) for key, value in options.items()}
    for key, value in values.items():
        _check(cfg, key, value)
    return values


def replace_variable(cfg: Config, key: str, value: str) -> Config:
    """The config with a top-level text, and all that was made of it, replaced.

    Made of it is what equals it, or is a path that begins with it. An empty text is replaced under its own name only.

    Raises:
        ConfigError: Nothing was made of it.
    """
    old = cfg[key]
    nodes = {name: _replaced(node, name, key, old, value) for name, node in cfg.to_dict().items()}
    if value != old and all(node == cfg.to_dict()[name] for name, node in nodes.items() if name != key):
        raise _without_effect(cfg, key, value)
    return Config(nodes, filename=cfg.filename)


def parse_value(text: str) -> Any:
    """A number, a boolean, None, a list, tuple or dict, or else a text, whose blanks stay.

    Raises:
        ValueError: Brackets or quotes do not match.
    """
    text = text.strip()
    parts = _split(text, ',')
    if len(parts) > 1:
        return [parse_value(part) for part in parts if part.strip()]
    if text[:1] in ('"', "'") and text[-1:] == text[:1] and len(text) > 1:
        return text[1:-1]
    if text.startswith('dict(') and text.endswith(')'):
        return dict(_entry(part, '=') for part in _split(text[5:-1], ',') if part.strip())
    if text[:1] in _CLOSING and text.endswith(_CLOSING[text[0]]):
        parts = [part for part in _split(text[1:-1], ',') if part.strip()]
        if text[0] == '{':
            return dict(_entry(part, ':') for part in parts)
        return (tuple if text[0] == '(' else list)(parse_value(part) for part in parts)
    return DictAction._parse_int_float_bool(text)


def _entry(text: str, sign: str) -> tuple[Any, Any]:
    key, *rest = _split(text, sign)
    if not rest:
        raise ValueError(f'{short(text)} has no {sign!r}')
    return (key.strip() if sign == '=' else parse_value(key)), parse_value(sign.join(rest))


def _split(text: str, sign: str) -> list[str]:
    """The parts of ``text`` between signs that stand outside of brackets and quotes."""
    parts, waiting, quote = [''], '', ''
    for char in text:
        if quote:
            quote = '' if char == quote else quote
        elif char in '"\'' and not parts[-1].strip():  # within a word it is an apostrophe
            quote = char
        elif char in _CLOSING:
            waiting += _CLOSING[char]
        elif char in _CLOSING.values():
            if not waiting.endswith(char):
                raise ValueError('its brackets do not match')
            waiting = waiting[:-1]
        elif char == sign and not waiting:
            parts.append('')
            continue
        parts[-1] += char
    if waiting or quote:
        raise ValueError(f'its {"brackets" if waiting else "quotes"} do not match')
    return parts


def _value(cfg: Config, key: str, value: Any) -> Any:
    if not isinstance(value, OptionText):
        return value
    there = {dotted(keys): node for keys, node in entries(cfg.to_dict())}.get(key)
    if isinstance(there, str) or there is None and key in _TEXTS and value != 'None':
        return str(value)
    try:
        return parse_value(value)
    except ValueError as error:
        raise ConfigError(f'--cfg-options {key}={short(str(value))}: {error}.') from error


def _check(cfg: Config, key: str, value: Any) -> None:
    top, *rest = key.split('.')
    if top not in cfg and top not in RUNNER_KEYS:
        raise ConfigError(f'--cfg-options {key}: {cfg.filename} has no {top!r}.'
                          f'{did_you_mean(top, sorted({*cfg.keys(), *RUNNER_KEYS}))}')
    if top in SHARED and top in cfg:
        check_shared_option(cfg, key, value)
    elif top not in RUNNER_KEYS and (rest or not isinstance(cfg[top], str) or not isinstance(value, str)):
        raise _without_effect(cfg, key, value)


def _without_effect(cfg: Config, key: str, value: Any) -> ConfigError:
    name = key.split('.')[-1]
    places = [dotted(keys) for keys, _ in entries(cfg.to_dict()) if keys[-1] == name and keys[0] in RUNNER_KEYS]
    hint = f'; set {" or ".join(places[:3])}' if places else ''
    return ConfigError(f'--cfg-options {key}={short(value)}: {key.split(".")[0]!r} is a variable of {cfg.filename}, '
                       f'used when the file was read; changing it now has no effect{hint}.')


def _replaced(node: Any, name: Any, variable: str, old: str, new: str) -> Any:
    """A node under ``name`` with the text ``old`` of the variable replaced."""
    if isinstance(node, dict):
        return {key: _replaced(child, key, variable, old, new) for key, child in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(_replaced(child, name, variable, old, new) for child in node)
    if node == old and (old or name == variable):
        return new
    if isinstance(node, str) and old and node.startswith(f'{old.rstrip("/")}/'):
        return f'{new.rstrip("/")}/{node[len(old.rstrip("/")) + 1:]}'
    return node
