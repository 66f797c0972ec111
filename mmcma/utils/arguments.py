"""What a class or function takes, held against what a config gives it."""
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mmcma.utils.errors import ConfigError, argument_error, did_you_mean, short

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def check_arguments(builder: Callable, given: Mapping[str, Any], *, supplied: Iterable[str] = (),
                    complete: bool = True) -> None:
    """Refuses arguments that a constructor cannot take, before it is called.

    Args:
        builder: The class or function.
        given: Its keyword arguments.
        supplied: Names that its caller adds, or takes out.
        complete: Whether ``given`` and ``supplied`` are all that it gets.

    Raises:
        ConfigError: A name is unknown, with near matches; one is missing; or a plain value (a number, a text, a
            list) is of a kind that the annotation rules out.
    """
    try:
        parameters = _parameters(builder)
    except (TypeError, ValueError):  # Some classes of C extensions tell no signature.
        return
    name, supplied = getattr(builder, '__name__', str(builder)), set(supplied)
    if inspect.Parameter.VAR_KEYWORD not in {parameter.kind for parameter in parameters.values()}:
        for key in sorted(given.keys() - parameters.keys() - supplied):
            hint = did_you_mean(key, sorted(parameters)) or f' It takes {sorted(parameters)}.'
            raise ConfigError(f'{name} takes no {short(key)}.{hint}')
    required = {key for key, parameter in parameters.items()
                if parameter.default is inspect.Parameter.empty and parameter.kind in _NAMED}
    if complete and (missing := sorted(required - given.keys() - supplied)):
        raise ConfigError(f'{name} needs {", ".join(missing)}.')
    _check_kinds(builder, given, parameters)


def _parameters(builder: Callable) -> dict[str, inspect.Parameter]:
    """The constructor's parameters, with those of the base that its ``**kwargs`` are known to go to."""
    parameters = dict(inspect.signature(builder).parameters)
    base = _base(builder) if 'kwargs' in parameters else None
    if base is not None:
        own = {key: parameter for key, parameter in parameters.items() if key not in ('args', 'kwargs')}
        parameters = {key: parameter for key, parameter in {**_parameters(base), **own}.items() if key != 'param_name'}
    return parameters


def _base(builder: Callable) -> type | None:
    """The base that gets what is left over: behind a ``…SchedulerMixin``, or behind a class of ours with a constructor.
    """
    mro = getattr(builder, '__mro__', ())
    passing = next((base for base in mro if base.__name__.endswith('SchedulerMixin')), None)
    if passing is None and builder.__module__.partition('.')[0] == 'mmcma':
        passing = next((base for base in mro if '__init__' in vars(base)), None)
    return None if passing is None else mro[mro.index(passing) + 1]


def _check_kinds(builder: Callable, given: Mapping[str, Any], parameters: Mapping[str, inspect.Parameter]) -> None:
    try:
        # mypy takes the class for an instance, whose subclass might take other arguments.
        hints = typing.get_type_hints(builder.__init__ if isinstance(builder, type) else builder)  # type: ignore[misc]
    except (NameError, TypeError, AttributeError):  # annotations that only a type checker can read
        return
    for key, value in given.items():
        parameter = parameters.get(key)
        if key not in hints or parameter is None or value is parameter.default or _fits(value, hints[key]):
            continue
        wanted = hints[key].__name__ if isinstance(hints[key], type) else str(hints[key]).replace('typing.', '')
        raise argument_error(builder, key, value, f'is of the wrong kind: it must be {wanted}.')


def _fits(value: Any, hint: Any) -> bool:
    """Whether the value can be what the annotation says; in doubt it can."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is typing.Literal:
        return True  # the part names its choices better
    if hint is None or hint is type(None):
        return value is None
    kind = origin or hint
    if not isinstance(kind, type) or kind is object or kind is Callable:
        return True
    if isinstance(value, bool):
        return kind is bool
    if isinstance(value, (int, float)):
        return kind is float or isinstance(value, kind)
    if isinstance(value, str):
        # A text is a sequence of texts only by accident.
        return kind is str or hasattr(kind, '__fspath__')
    if isinstance(value, (list, tuple)):
        return kind not in (bool, int, float, str, dict) and _items_fit(value, kind, inner)
    if isinstance(value, dict):
        return kind not in (bool, int, float, str, list, tuple)
    return value is not None


def _items_fit(value: list | tuple, kind: type, inner: tuple) -> bool:
    if not inner or Ellipsis in inner or kind is tuple and len(inner) > 1:
        return True
    return all(_fits(item, inner[0]) for item in value)
