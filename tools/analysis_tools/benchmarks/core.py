"""Variants of the same work: in processes of their own, compared, measured in turns, put into a table and a file."""
import argparse
import ctypes
import gc
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import NamedTuple, TypeVar

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from mmcma.utils.errors import DataError, UserError

T = TypeVar('T')


# ---- running ----

class IsolatedProcess:
    """An object in a process of its own, to be closed as by ``with``.

    The released code's modules have names such as ``metrics`` and ``util``, and a process's peak memory is that of all
    it ever did: each variant that is compared gets a fresh process.

    Args:
        factory: Makes the object there; importable, as its arguments must be picklable.
    """

    def __init__(self, factory: Callable, *args, **kwargs) -> None:
        self._process = ProcessPoolExecutor(1, mp_context=get_context('spawn'))
        try:
            self._result(_make, factory, args, kwargs)
        except BaseException:
            self._process.shutdown()
            raise

    def call(self, method: str, *args):
        """What the object's method gives; what it raises is raised here.

        Raises:
            UserError: The process has been killed.
        """
        return self._result(_call, method, args)

    def _result(self, work: Callable, *args):
        try:
            return self._process.submit(work, *args).result()
        except BrokenProcessPool as error:
            raise UserError('A process of this comparison was killed, as a rule for lack of memory. All variants are '
                            'in memory at once: give fewer --variants, or a smaller --batch or --size.') from error

    def __enter__(self) -> 'IsolatedProcess':
        return self

    def __exit__(self, *exc_info) -> None:
        self._process.shutdown()


_own = None  # the object of an isolated process


def _make(factory: Callable, args: tuple, kwargs: dict) -> None:
    global _own
    _own = factory(*args, **kwargs)


def _call(method: str, args: tuple):
    return getattr(_own, method)(*args)


def race(variants: Mapping[str, Callable[[], T]], *, rounds: int, warmup: int = 1) -> dict[str, list[T]]:
    """What each variant gives in each of the rounds that follow the ``warmup``.

    Every other round goes through the variants backwards, so that none always follows the same one.
    """
    found: dict[str, list[T]] = {name: [] for name in variants}
    for number in range(-warmup, rounds):
        for name in list(variants)[::-1 if number % 2 else 1]:
            result = variants[name]()
            if number >= 0:
                found[name].append(result)
    return found


# ---- measuring ----

class Cost(NamedTuple):
    """What a piece of work took.

    Attributes:
        seconds: Seconds of the clock.
        peak_bytes: The most memory in use during it beyond what was in use when the workload was ready; of the GPU's
            allocator where there is a GPU, else of the process, by Linux's account.
        process_bytes: The most memory of the whole process during it, libraries included.
    """
    seconds: float
    peak_bytes: int
    process_bytes: int


class Workload:
    """Work that is measured again and again; a subclass defines :meth:`work`, and its constructor ends in ready()."""

    def work(self):
        """Does it once."""
        raise NotImplementedError

    def ready(self) -> None:
        """Begins to account for memory: what is there now does not count."""
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # memory that is freed but kept would hide what is taken later
        self._before = torch.cuda.memory_allocated() if torch.cuda.is_available() else _process_bytes('VmRSS')

    def measure(self) -> Cost:
        """Does the work once."""
        Path('/proc/self/clear_refs').write_text('5')  # sets VmHWM back to what is in memory now
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        seconds = timed(self.work)
        process = _process_bytes('VmHWM')
        peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else process
        return Cost(seconds, peak - self._before, process)


def timed(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds that ``work`` takes, to its end on a GPU too."""
    began = clock()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - began


def _process_bytes(field: str) -> int:
    lines = Path('/proc/self/status').read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f'{field}:'))


# ---- comparing ----

def agree(found, expected, *, tolerance: float, what: str) -> float:
    """The relative error ``|a - b| / |b|`` (Euclidean) of a tensor or array.

    Raises:
        DataError: It is larger than the tolerance, or shapes differ; the message begins with ``what``.
    """
    found, expected = torch.as_tensor(found).double(), torch.as_tensor(expected).double()
    if found.shape != expected.shape:
        raise DataError(f'{what} is {tuple(found.shape)}, not {tuple(expected.shape)}.')
    size = torch.linalg.vector_norm(expected).clamp_min(1e-30)
    error = float(torch.linalg.vector_norm(found - expected) / size)
    if not error <= tolerance:
        raise DataError(f'{what} is off by {error:.2g}, more than {tolerance:g}: the variants do not compute the same '
                        'thing, and are not timed.')
    return error


def spread(values: list[float]) -> dict[str, float]:
    """Median, smallest and largest, to four digits."""
    return {name: float(f'{of(values):.4g}') for name, of in (('median', median), ('min', min), ('max', max))}


def ratios(numerators: list[float], denominators: list[float]) -> dict[str, float]:
    """The spread of the ratios within each round."""
    return spread([above / below for above, below in zip(numerators, denominators)])


def summarise(seconds: Mapping[str, list[float]], base: str) -> dict[str, dict]:
    """Each variant's seconds and how many times as fast as ``base`` it was within each round."""
    return {name: dict(seconds=spread(own), raw_seconds=own, times_as_fast=ratios(seconds[base], own))
            for name, own in seconds.items()}


# ---- reporting ----

def print_times(summary: Mapping[str, dict], *, base: str, title: str) -> None:
    """Prints the rows of :func:`summarise`: medians, and in brackets the smallest and the largest."""
    print_table(title, ('', 'seconds', f'times as fast as {base}'), [
        (name, *('{median:.4g} ({min:.4g} to {max:.4g})'.format(**found[part])
                 for part in ('seconds', 'times_as_fast'))) for name, found in summary.items()])


def print_table(title: str, columns: tuple[str, ...], rows: list[tuple]) -> None:
    """Prints a table; all columns but the first hold figures."""
    table = Table(title=title, box=SIMPLE_HEAD, title_style='bold')
    for number, column in enumerate(columns):
        table.add_column(column, justify='right' if number else 'left', no_wrap=True)
    for row in rows:
        table.add_row(*map(str, row))
    Console().print(table)


def save(args: argparse.Namespace, key: str, found: dict) -> None:
    """Puts the figures under ``key`` into the file of --out, if there is one, with the settings and the machine."""
    settings = {name: value for name, value in vars(args).items()
                if isinstance(value, (int, float, str, list)) and name not in ('command', 'gallery')}
    add_to_file(args.out, key, dict(settings=settings, with_released_code=args.official is not None,
                                    machine=machine(), **found))


def add_to_file(path: Path | None, key: str, found: dict) -> None:
    """Puts the figures under ``key`` into a JSON file, if one is named; what else it holds stays."""
    if path is not None:
        known = json.loads(path.read_text()) if path.exists() else {}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**known, key: found}, indent=1) + '\n')


def machine() -> dict:
    """What the figures belong to."""
    names = [line.partition(':')[2].strip() for line in Path('/proc/cpuinfo').read_text().splitlines()
             if line.startswith('model name')]
    return dict(processor=names[0] if names else platform.processor(), cores=os.cpu_count(),
                threads=torch.get_num_threads(), torch=torch.__version__,
                gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None)
