"""Ranges of arguments that several methods have."""
from mmcma.utils.errors import ConfigError


def check_counts(**counts: int) -> None:
    """Raises: ConfigError: When one of the neck's arguments is below 1."""
    for name, count in counts.items():
        if count < 1:
            raise ConfigError(f'model.neck.{name}={count} must be at least 1.')


def check_dropout(**probabilities: float) -> None:
    """Raises: ConfigError: When one of the neck's arguments is no probability below 1."""
    for name, probability in probabilities.items():
        if not 0 <= probability < 1:
            raise ConfigError(f'model.neck.{name}={probability} must be in [0, 1).')
