"""Where in a config a part stands that could not be built."""
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from mmengine.config import Config

from mmcma.registry import build_failure
from mmcma.utils.errors import ConfigError, UserError, one_short_line


@contextmanager
def building(cfg: Config):
    """While parts of a config are built: every failure is one line that says where in the config the part stands.

    Raises:
        ConfigError: Whatever a constructor raised that it did not mean for users.
    """
    try:
        yield
    except ConfigError as error:
        raise _placed(error, cfg) from error
    except UserError:
        raise
    except Exception as error:
        raise _located(error, cfg) from error


def _placed(error: ConfigError, cfg: Config) -> ConfigError:
    """The error with the place of the argument that it names."""
    if error.part is None:
        return error
    for path, node in parts(cfg.to_dict()):
        if str(node['type']).rpartition('.')[2] == error.part and node.get(error.argument, error.value) == error.value:
            return ConfigError(f'{cfg.filename or "config"}: {path}: {error}')
    return error


def _located(error: Exception, cfg: Config) -> ConfigError:
    """The error as one line, with the part that mmengine was building when it came up, and its place."""
    source = cfg.filename or 'config'
    built = _innermost(error.__traceback__, 'build_from_cfg', 'obj_cls')
    if built is not None:
        where = next((path for path, other in parts(cfg.to_dict()) if other == dict(built['cfg'])), 'a part of it')
        return ConfigError(f'{source}: {where}: {build_failure(built["obj_cls"], dict(built["args"]), error)}')
    reason = f'cannot be built: {type(error).__name__}: {one_short_line(str(error))}'
    loaded = _innermost(error.__traceback__, 'build_dataloader', 'dataloader')
    loader = next((key for key, node in cfg.items() if loaded and node == loaded['dataloader']), None)
    return ConfigError(f'{source}: {loader} {reason}' if loader else f'{source} {reason}')


def _innermost(trace: TracebackType | None, function: str, variable: str) -> dict[str, Any] | None:
    """The variables of the last call of mmengine's ``function`` that came as far as to set ``variable``."""
    found = None
    while trace is not None:
        local = trace.tb_frame.f_locals
        if trace.tb_frame.f_code.co_name == function and variable in local:
            found = dict(local)
        trace = trace.tb_next
    return found


def parts(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping]]:
    """Every dict with a ``type`` in a config, with its path, such as ``model.neck.necks[1]``; the outermost first."""
    for keys, node in entries(config):
        if isinstance(node, Mapping) and 'type' in node:
            yield ''.join(f'[{key}]' if isinstance(key, int) else f'.{key}' for key in keys).lstrip('.'), node


def entries(node: Any, *keys: str | int) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Keys and value of all that stands below a node of a config, in dicts and lists; the outermost first.

    Args:
        node: A config or a part of one.
        keys: Where it stands, which comes before the keys below it.
    """
    children = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, (list, tuple)) else ()
    for key, child in children:
        yield (*keys, key), child
        yield from entries(child, *keys, key)


def dotted(keys: Iterable[str | int]) -> str:
    """A place as ``--cfg-options`` names it: ``model.neck.necks.1``."""
    return '.'.join(map(str, keys))
