"""Errors that a user can cause and mend.

Each message is one line that names the value, where it came from, and the
fix. The command line tools print it and leave with exit code 2; from Python
they are ordinary exceptions.
"""
from collections.abc import Sequence
from difflib import get_close_matches


class UserError(ValueError):
    """Root of the errors below."""


class ConfigError(UserError):
    """A value in a config cannot work.

    Attributes:
        part: Name of the class whose argument it is; None where it is no argument of a part.
        argument: That argument's name.
        value: What it is.
    """
    part: str | None = None
    argument: str = ''
    value: object = None


def argument_error(part: object, argument: str, value: object, fault: str) -> ConfigError:
    """An error such as ``VPT.num_prompts=0 must be at least 1.``

    A part knows its class and argument only. Whoever built it from a config says where it stands there
    (:func:`mmcma.config.building`).

    Args:
        part: The part, or its class.
        argument: Name of the constructor's argument.
        value: What it is.
        fault: The rest of the sentence: what is wrong, and the fix.
    """
    name = (part if isinstance(part, type) else type(part)).__name__
    error = ConfigError(f'{name}.{argument}={short(value)} {fault}')
    error.part, error.argument, error.value = name, argument, value
    return error


class DataError(UserError):
    """An annotation file, a folder or an item of a data set is missing or wrong."""


class MediaError(DataError):
    """A video or image cannot be read."""


class WeightsError(UserError):
    """Pretrained weights or a checkpoint are missing or do not fit."""


class NonFiniteError(UserError):
    """A loss or a similarity is NaN or infinite."""


def did_you_mean(word: str, known: list[str]) -> str:
    """`` Did you mean 'x' or 'y'?`` for the words of ``known`` near ``word``, else ``''``."""
    near = get_close_matches(word, known, n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ''


def few(names: Sequence[str], count: int = 3) -> str:
    """The first of many names, for a message: each in one line of at most 60 characters, with commas between them."""
    return ', '.join(one_short_line(name, 60) for name in names[:count])


def cause(error: BaseException) -> str:
    """An error of others in one line of at most 160 characters: its kind, and what it says."""
    return one_short_line(f'{type(error).__name__}: {error}', 160)


def short(value: object, limit: int = 100) -> str:
    """``repr(value)`` in one line of at most ``limit`` characters, for a message."""
    try:
        return one_short_line(repr(value), limit)
    except RecursionError:
        return f'a {type(value).__name__} within a thousand others'


def one_short_line(text: str, limit: int = 300) -> str:
    """``text`` in one line of at most ``limit`` characters."""
    text = ' '.join(text[:10 * limit].split())
    return text if len(text) <= limit else f'{text[:limit - 1]}…'
