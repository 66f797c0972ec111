"""Ranges of arguments that several methods have."""
from mmcma.models.backbones.tower import Tower
from mmcma.utils.errors import ConfigError, argument_error


def check_counts(part: object, **counts: int) -> None:
    """Raises: ConfigError: When one of the part's arguments is below 1."""
    for name, count in counts.items():
        if count < 1:
            raise argument_error(part, name, count, 'must be at least 1.')


def check_dropout(part: object, **probabilities: float) -> None:
    """Raises: ConfigError: When one of the part's arguments is no probability below 1."""
    for name, probability in probabilities.items():
        if not 0 <= probability < 1:
            raise argument_error(part, name, probability, 'must be in [0, 1).')


def check_depth(part: object, argument: str, count: int, modality: str, tower: Tower) -> None:
    """Raises: ConfigError: When an argument of the part asks for more layers than the tower has."""
    if count > len(tower.blocks):
        raise argument_error(part, argument, count, f'does not fit: the {modality} tower {tower.source!r} has '
                             f'{len(tower.blocks)} layers.')


def check_length(argument: str, most: int, given: int, what: str) -> None:
    """Refuses more than a part has learned positions for.

    Args:
        argument: Class and argument that say how many, as in ``'DGL.max_frames'``.
        most, given: How many there are, and how many came.
        what: What came, with a place for the number, as in ``'clips have {} frames'``.

    Raises:
        ConfigError: ``given`` is above ``most``.
    """
    if given > most:
        raise ConfigError(f'{argument}={most}, but {what.format(given)}: set it to {given} or more.')
