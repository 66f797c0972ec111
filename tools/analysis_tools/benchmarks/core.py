"""Variants of the same work: in processes of their own, compared, measured in turns, put into a table and a file."""
import argparse
import ctypes
import gc
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeVar

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from mmcma.utils.errors import DataError, UserError

T = TypeVar('T')


@contextmanager
def isolated(factory: Callable, *args) -> Iterator[SimpleNamespace]:
    """An object in a process of its own; ``call(method, *args)`` gives what its method gives, or raises.

    The released code's modules have names such as ``metrics`` and ``util``, and a process's peak memory is that of all
    it ever did: each variant that is compared gets a fresh process.

    Args:
        factory: Makes the object there; importable, as its arguments must be picklable.

    Raises:
        UserError: The process has been killed.
    """
    with ProcessPoolExecutor(1, mp_context=get_context('spawn')) as process:
        try:
            process.submit(_make, factory, args).result()
            yield SimpleNamespace(call=lambda method, *args: process.submit(_call, method, args).result())
        except BrokenProcessPool as error:
            raise UserError('A process of this comparison was killed, as a rule for lack of memory. All variants are '
                            'in memory at once: give fewer --variants, or a smaller --batch or --size.') from error


_own: Any = None  # the object of an isolated process


def _make(factory: Callable, args: tuple) -> None:
    global _own
    _own = factory(*args)


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
        seconds: Time by the clock.
        processor_seconds: Time of the processor, of all threads together.
        peak_bytes: The most memory in use during it beyond what was in use when the workload was ready; of the GPU's
            allocator where there is a GPU, else of the process, by Linux's account.
        process_bytes: The most memory of the whole process during it, libraries included.
    """
    seconds: float
    processor_seconds: float
    peak_bytes: int
    process_bytes: int


class Workload:
    """Work that is measured again and again.

    Args:
        prepare: Gives the work, a function without arguments, for the ``sizes``.
    """

    def __init__(self, prepare: Callable[..., Callable[[], Any]], *sizes) -> None:
        self.work = prepare(*sizes)
        self.ready()

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
        clock, processor = time.perf_counter(), time.process_time()
        self.work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds = time.perf_counter() - clock, time.process_time() - processor
        process = _process_bytes('VmHWM')
        peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else process
        return Cost(*seconds, peak - self._before, process)


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


def summarise(costs: Mapping[str, list[Cost]], by: str = 'seconds') -> dict[str, dict]:
    """What each variant took, and how many times as fast as the first it was within each round.

    Args:
        costs: Variant -> cost of each round.
        by: Which time the ratios are of, ``'seconds'`` or ``'processor_seconds'``.
    """
    times = {name: [getattr(cost, by) for cost in own] for name, own in costs.items()}
    base = next(iter(times.values()))
    return {name: dict(seconds=spread([cost.seconds for cost in own]), raw_seconds=[cost.seconds for cost in own],
                       processor_seconds=spread([cost.processor_seconds for cost in own]),
                       times_as_fast=spread([theirs / ours for theirs, ours in zip(base, times[name])]),
                       peak_bytes=own[-1].peak_bytes, process_bytes=own[-1].process_bytes)
            for name, own in costs.items()}


def race_costs(measures: Mapping[str, Callable[[], Cost]], *, rounds: int, title: str, by: str = 'seconds') -> dict:
    """Measures workloads in turns and prints what they took: medians, and in brackets the smallest and the largest.

    Returns:
        The result of :func:`summarise`.
    """
    found = summarise(race(measures, rounds=rounds), by)
    columns = ('', 'seconds', 'of processor', f'times {next(iter(found))}', 'peak, MiB', 'process, MiB')
    print_table(title, columns, [
        (name, '{median:.4g} ({min:.3g} to {max:.3g})'.format(**own['seconds']),
         f'{own["processor_seconds"]["median"]:.4g}', '{median:.3g} ({min:.3g} to {max:.3g})'.format(
             **own['times_as_fast']), own['peak_bytes'] >> 20, own['process_bytes'] >> 20)
        for name, own in found.items()])
    return found


@contextmanager
def agreeing(workloads: Mapping[str, tuple], tolerance: float) -> Iterator[dict[str, Callable[[], Cost]]]:
    """Workloads in processes of their own that give the same array; yields what measures each.

    Args:
        workloads: Name -> arguments of :class:`Workload`.
        tolerance: Largest relative error of the others, against the first.

    Raises:
        DataError: They do not agree.
    """
    with ExitStack() as stack:
        processes = {name: stack.enter_context(isolated(Workload, *own)) for name, own in workloads.items()}
        results = {name: process.call('work') for name, process in processes.items()}
        first = next(iter(results))
        for name in list(results)[1:]:
            error = agree(results[name], results[first], tolerance=tolerance, what=name)
            print(f'{name} agrees with {first}, off by {error:.1g}')
        yield {name: partial(process.call, 'measure') for name, process in processes.items()}


# ---- reporting ----

def print_table(title: str, columns: tuple[str, ...], rows: list[tuple]) -> None:
    """Prints a table; all columns but the first hold figures."""
    table = Table(title=title, box=SIMPLE_HEAD, title_style='bold')
    for number, column in enumerate(columns):
        table.add_column(column, justify='right' if number else 'left', overflow='fold')
    for row in rows:
        table.add_row(*map(str, row))
    Console().print(table)


def save(args: argparse.Namespace, key: str, found: dict) -> None:
    """Puts the figures under ``key`` into the file of --out, if there is one, with the settings and the machine.

    What else the file holds stays.
    """
    if args.out is None:
        return
    settings = {name: value for name, value in vars(args).items()
                if isinstance(value, (int, float, str, list)) and name not in ('command', 'gallery')}
    known = json.loads(args.out.read_text()) if args.out.exists() else {}
    known[key] = dict(settings=settings, with_released_code=getattr(args, 'official', None) is not None,
                      machine=machine(), **found)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(known, indent=1) + '\n')


def machine() -> dict:
    """What the figures belong to."""
    return dict(processor=torch.backends.cpu.get_cpu_capability(), cores=os.cpu_count(),
                threads=torch.get_num_threads(), torch=torch.__version__,
                gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None)
