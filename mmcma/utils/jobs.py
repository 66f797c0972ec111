"""Many calls in worker processes, none of which can hang or crash the whole."""
import pickle
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, TimeoutError, wait
from itertools import islice
from typing import Any, NamedTuple

import torch
from pebble import ProcessExpired, ProcessPool

from mmcma.utils.errors import UserError
from mmcma.utils.timeouts import leave_limits_to_watcher


class Outcome(NamedTuple):
    """The end of a task: the job's value, or why there is none."""
    task: Any
    value: Any
    error: str | None


def watched_jobs(job: Callable[[Any], Any], tasks: Iterable, *, workers: int, seconds: float) -> Iterator[Outcome]:
    """Calls ``job`` with every task and gives the outcomes as they come, in any order.

    A call that takes longer than ``seconds``, or whose process dies (decoders are
    C code), costs its own task only: its process is replaced.

    Args:
        job: What it returns is pickled.
        tasks: Arguments, one each.
        workers: How many processes, at least 1.
        seconds: The most that one call may take.
    """
    tasks, running = iter(tasks), dict[Future, Any]()
    pool = ProcessPool(workers, initializer=_start, initargs=(job,))
    try:
        while True:
            # No more than can start at once: time that a task waits for a process would count as its own.
            for task in islice(tasks, workers - len(running)):
                running[pool.schedule(_call, (task,), timeout=seconds)] = task
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield _outcome(running.pop(future), future, seconds)
    finally:
        pool.stop()
        pool.join()


def _outcome(task: Any, future: Future, seconds: float) -> Outcome:
    try:
        return Outcome(task, *pickle.loads(future.result()))
    except TimeoutError:
        return Outcome(task, None, f'no end after {seconds:g} s, stopped')
    except ProcessExpired as error:
        return Outcome(task, None, f'the process that read it died (exit code {error.exitcode})')


_job: Callable[[Any], Any]  # of a worker process


def _start(job: Callable[[Any], Any]) -> None:
    global _job
    _job = job
    # As in PyTorch's data loader: OpenMP's threads do not survive the fork, and a parallel region crashes.
    torch.set_num_threads(1)
    leave_limits_to_watcher()


def _call(task: Any) -> bytes:
    # Pickled here: sent by multiprocessing, a tensor lies in shared memory that goes with a process that dies.
    try:
        return pickle.dumps((_job(task), None))
    except UserError as error:
        return pickle.dumps((None, str(error)))
    except Exception as error:
        return pickle.dumps((None, f'{type(error).__name__}: {error}'))
