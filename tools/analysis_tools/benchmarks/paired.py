"""Several ways of doing the same thing: checked against each other, timed in turns, put into a table and a file."""
import argparse
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


def add_common_arguments(parser: argparse.ArgumentParser, *, rounds: int) -> None:
    """What every sub-command takes; ``rounds`` is the default of --rounds."""
    parser.add_argument('--official', type=Path, metavar='DIR', help='checkout of the released code')
    parser.add_argument('--rounds', type=int, default=rounds, help=f'turns of each way (default: {rounds})')
    parser.add_argument('--tiny', action='store_true', help='smallest sizes, to see that everything runs')
    parser.add_argument('--out', type=Path, metavar='FILE', help='add the raw figures to this JSON file')


# ---- running ----

class Apart:
    """An object in a process of its own.

    The released code's modules have names such as ``metrics`` and ``util``, and a process's peak memory is that of all
    it ever did: each way that is compared gets a fresh process. It must be closed, as by ``contextlib.ExitStack``.

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
        from mmcma.utils.errors import UserError
        try:
            return self._process.submit(work, *args).result()
        except BrokenProcessPool as error:
            raise UserError('A process of this comparison was killed, as a rule for lack of memory. All ways are in '
                            'memory at once: give fewer --ways, or a smaller --batch or --size.') from error

    def __enter__(self) -> 'Apart':
        return self

    def __exit__(self, *exc_info) -> None:
        self._process.shutdown()


_own = None  # the object of a process of Apart


def _make(factory: Callable, args: tuple, kwargs: dict) -> None:
    global _own
    _own = factory(*args, **kwargs)


def _call(method: str, args: tuple):
    return getattr(_own, method)(*args)


def stopwatch(work: Callable[[], object]) -> Callable[[], float]:
    """``work`` as a way of :func:`race`."""
    def seconds() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began
    return seconds


def race(ways: Mapping[str, Callable[[], float]], *, rounds: int, warmup: int = 1) -> dict[str, list[float]]:
    """Seconds of each way in each round.

    Every other round goes through the ways backwards, so that none always follows the same one.

    Args:
        ways: Each does its work once and returns the seconds that it took.
        rounds: How many are counted.
        warmup: How many go before them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(-warmup, rounds):
        for name in list(ways)[::-1 if number % 2 else 1]:
            took = ways[name]()
            if number >= 0:
                seconds[name].append(took)
    return seconds


# ---- comparing ----

def agree(found: Mapping, expected: Mapping, *, tolerance: float, what: str) -> float:
    """The largest relative error ``|a - b| / |b|`` (Euclidean) of any tensor.

    Args:
        found: Name -> tensor or array.
        expected: Tensors of the same names and shapes.
        tolerance: The largest error that may be.
        what: What is compared, for the error.

    Raises:
        DataError: The names or shapes differ, or a tensor is further off than the tolerance.
    """
    import torch

    from mmcma.utils.errors import DataError
    if found.keys() != expected.keys():
        raise DataError(f'{what}: only one side has {sorted(found.keys() ^ expected.keys())[:3]}.')
    errors = {}
    for name, theirs in expected.items():
        own, theirs = torch.as_tensor(found[name]).double(), torch.as_tensor(theirs).double()
        if own.shape != theirs.shape:
            raise DataError(f'{what}: {name} is {tuple(own.shape)}, not {tuple(theirs.shape)}.')
        difference, size = torch.linalg.vector_norm(own - theirs), torch.linalg.vector_norm(theirs)
        errors[name] = float(difference / size.clamp_min(1e-30))
        if not errors[name] <= tolerance:
            raise DataError(f'{what}: {name} is off by {errors[name]:.2g}, more than {tolerance:g}: '
                            'the ways do not compute the same thing, and are not timed.')
    return max(errors.values())


def spread(values: list[float]) -> dict[str, float]:
    """Median, smallest and largest, to four digits."""
    return {name: float(f'{of(values):.4g}') for name, of in (('median', median), ('min', min), ('max', max))}


def summarise(seconds: Mapping[str, list[float]], base: str) -> dict[str, dict]:
    """Each way's seconds and how many times as fast as ``base`` it was within each round."""
    return {name: dict(seconds=spread(own), raw_seconds=own, times_as_fast=spread(
        [theirs / ours for theirs, ours in zip(seconds[base], own)])) for name, own in seconds.items()}


# ---- reporting ----

def print_times(summary: Mapping[str, dict], *, base: str, title: str) -> None:
    """The rows of :func:`summarise`: medians, and in brackets the smallest and the largest."""
    rows = [(name, *('{median:.4g} ({min:.4g} to {max:.4g})'.format(**found[part])
                     for part in ('seconds', 'times_as_fast'))) for name, found in summary.items()]
    print_table(title, ('', 'seconds', f'times as fast as {base}'), rows)


def print_table(title: str, columns: tuple[str, ...], rows: list[tuple]) -> None:
    """A table on the terminal; all columns but the first hold figures."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    table = Table(title=title, box=SIMPLE_HEAD, title_style='bold')
    for number, column in enumerate(columns):
        table.add_column(column, justify='right' if number else 'left', no_wrap=True)
    for row in rows:
        table.add_row(*map(str, row))
    Console().print(table)


def save(args: argparse.Namespace, key: str, found: dict) -> None:
    """Puts the figures under ``key`` into the file of --out, if there is one, with the settings and the machine."""
    if args.out is None:
        return
    known = json.loads(args.out.read_text()) if args.out.exists() else {}
    settings = {name: value for name, value in vars(args).items()
                if isinstance(value, (int, float, str, list)) and name != 'command'}
    known[key] = dict(settings=settings, with_released_code=args.official is not None, machine=machine(), **found)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(known, indent=1) + '\n')


def machine() -> dict:
    """What the figures belong to."""
    import torch
    names = [line.partition(':')[2].strip() for line in Path('/proc/cpuinfo').read_text().splitlines()
             if line.startswith('model name')]
    return dict(processor=names[0] if names else platform.processor(), cores=os.cpu_count(),
                threads=torch.get_num_threads(), torch=torch.__version__,
                gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None)
