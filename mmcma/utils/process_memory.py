"""How much memory a whole process takes, libraries included, by Linux's account of it."""
from pathlib import Path


def resident() -> int:
    """The bytes that are in memory now."""
    return _status('VmRSS')


def highest_resident() -> int:
    """The most bytes that were in memory since the process began, or since :func:`forget_highest`."""
    return _status('VmHWM')


def forget_highest() -> None:
    """Sets the high-water mark back to what is in memory now."""
    Path('/proc/self/clear_refs').write_text('5')


def _status(field: str) -> int:
    lines = Path('/proc/self/status').read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f'{field}:'))
