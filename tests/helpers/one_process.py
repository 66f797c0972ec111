"""Isolated objects of the benchmarks without the seconds that a process takes to start."""
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace


@contextmanager
def in_this_process(factory: Callable, *args) -> Iterator[SimpleNamespace]:
    """Like ``benchmarks.core.isolated``, but here."""
    own = factory(*args)
    yield SimpleNamespace(call=lambda method, *args: getattr(own, method)(*args))
