"""Many calls in worker processes, none of which can hang or crash the whole."""
import ctypes
import multiprocessing
import pickle
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.sharedctypes import RawValue
from typing import Any, NamedTuple

import torch

from mmcma.utils.errors import UserError
from mmcma.utils.timeouts import made_progress, watch_process


class Outcome(NamedTuple):
    """What a task gave: the job's value, or why there is none.

    Attributes:
        task, value, error: The last is None where all went well.
        last: Whether the task gives no more.
    """
    task: Any
    value: Any
    error: str | None
    last: bool = True


def watched_jobs(job: Callable[[Any], Any], tasks: Iterable, *, workers: int, seconds: float) -> Iterator[Outcome]:
    """Calls ``job`` with every task and gives the outcomes as they come, those of different tasks in any order.

    A job that is a generator gives an outcome for each value that it yields, and at its end one more without a value.
    It waits while its values are not taken, so that whatever it yields, one value of each process is held at a time.

    A call that makes no progress for ``seconds``, or whose process dies (decoders are C code), costs its own task
    only: its process is replaced. Progress is a value, and whatever calls
    :func:`~mmcma.utils.timeouts.made_progress`; how long a call takes in all does not matter.

    Args:
        job: What it returns or yields is pickled.
        tasks: Arguments, one each.
        workers: How many processes, at least 1.
        seconds: The most that may pass without progress.
    """
    tasks, pool = iter(tasks), list[_Worker]()
    try:
        while True:
            idle = [worker for worker in pool if not worker.busy]
            for task in islice(tasks, workers - len(pool) + len(idle)):
                if not idle:
                    idle.append(_Worker(job))
                    pool.append(idle[-1])
                idle.pop().start(task)
            busy = {worker.connection: worker for worker in pool if worker.busy}
            if not busy:
                return
            due = min(worker.heard.value for worker in busy.values()) + seconds
            ready = wait(list(busy), timeout=max(0, due - time.monotonic()))
            for connection, worker in busy.items():
                if connection in ready:
                    yield worker.receive()
                elif worker.heard.value + seconds <= time.monotonic():
                    worker.stop()
                    yield Outcome(worker.task, None, f'no progress for {seconds:g} s, stopped')
            pool = [worker for worker in pool if not worker.ended]
    finally:
        for worker in pool:
            worker.stop()


class _Worker:
    """A process that does one task after another, and what is heard of it."""

    def __init__(self, job: Callable[[Any], Any]) -> None:
        self.connection, theirs = multiprocessing.Pipe()
        self.heard, self.busy, self.task = RawValue('d', 0.0), False, None  # when, by time.monotonic()
        #: Whether its end is told: a process may be gone while what it sent last has yet to be received.
        self.ended = False
        self.process = multiprocessing.Process(target=_work, args=(job, theirs, self.heard), daemon=True)
        self.process.start()
        theirs.close()

    def start(self, task: Any) -> None:
        self.task, self.busy, self.heard.value = task, True, time.monotonic()
        self.connection.send(task)

    def receive(self) -> Outcome:
        try:
            value, error, last = pickle.loads(self.connection.recv_bytes())
        except (EOFError, OSError):
            self.process.join()
            self.ended = True
            return Outcome(self.task, None, f'the process that read it died (exit code {self.process.exitcode})')
        self.busy, self.heard.value = not last, time.monotonic()
        return Outcome(self.task, value, error, last)

    def stop(self) -> None:
        self.ended = True
        self.process.kill()
        self.process.join()
        self.connection.close()


def _work(job: Callable[[Any], Any], connection: Connection, heard: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who watches it ends it
    if sys.platform == 'linux':  # it has inherited the locks of the process that forked it, and ends with it
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    # As in PyTorch's data loader: OpenMP's threads do not survive the fork, and a parallel region crashes.
    torch.set_num_threads(1)
    watch_process(heard)
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        for message in _messages(job, task):
            connection.send_bytes(message)
            made_progress()


def _messages(job: Callable[[Any], Any], task: Any) -> Iterator[bytes]:
    """Value, error and whether it is the last."""
    # Pickled here: sent by multiprocessing, a tensor lies in shared memory that goes with a process that dies.
    try:
        value = job(task)
        if isinstance(value, Generator):
            for part in value:
                yield pickle.dumps((part, None, False))
            value = None
        yield pickle.dumps((value, None, True))
    except UserError as error:
        yield pickle.dumps((None, str(error), True))
    except Exception as error:
        yield pickle.dumps((None, f'{type(error).__name__}: {error}', True))
