"""Errors that a user can cause and mend.

Each message is one line that names the value, where it came from, and the
fix. The command line tools print it and leave with exit code 2; from Python
they are ordinary exceptions.
"""
from difflib import get_close_matches


class UserError(ValueError):
    """Root of the errors below."""


class ConfigError(UserError):
    """A value in a config cannot work."""


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
