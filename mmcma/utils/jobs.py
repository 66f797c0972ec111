"""Many calls in worker processes, none of which can hang or crash the whole."""
import math
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

import torch

from mmcma.utils.errors import UserError
from mmcma.utils.timeouts import leave_limits_to_watcher


class Outcome(NamedTuple):
    """What became of a task: the job's value, or why there is none."""
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
    idle: list[_Worker] = []
    busy: list[_Worker] = []
    tasks = iter(tasks)
    try:
        while True:
            while len(busy) < workers and (task := next(tasks, tasks)) is not tasks:
                busy.append(idle.pop() if idle else _Worker(job, seconds))
                busy[-1].start(task)
            if not busy:
                return
            wait([worker.pipe for worker in busy], timeout=max(0, min(w.deadline for w in busy) - time.monotonic()))
            for worker in [worker for worker in busy if worker.has_ended()]:
                busy.remove(worker)
                outcome = worker.outcome()
                if not worker.pipe.closed:
                    idle.append(worker)
                yield outcome
    finally:
        for worker in idle + busy:
            worker.kill()


class _Worker:
    """One process and the task that it has."""

    def __init__(self, job: Callable[[Any], Any], seconds: float) -> None:
        self.pipe, theirs = Pipe()
        self.seconds, self.deadline = seconds, math.inf
        self.process = Process(target=_serve, args=(job, theirs, self.pipe), daemon=True)
        self.process.start()
        theirs.close()  # so that the pipe ends when the process does

    def start(self, task: Any) -> None:
        self.task, self.deadline = task, time.monotonic() + self.seconds
        self.pipe.send(task)

    def has_ended(self) -> bool:
        return self.pipe.poll() or time.monotonic() >= self.deadline

    def outcome(self) -> Outcome:
        if not self.pipe.poll():
            self.kill()
            return Outcome(self.task, None, f'no end after {self.seconds:g} s, stopped')
        try:
            return Outcome(self.task, *self.pipe.recv())
        except (EOFError, OSError):
            self.kill()
            return Outcome(self.task, None, f'the process that read it died (exit code {self.process.exitcode})')

    def kill(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.join()


def _serve(job: Callable[[Any], Any], pipe: Connection, parents: Connection) -> None:
    parents.close()  # a copy from the fork, which would keep the pipe open when the parent is killed
    # As in PyTorch's data loader: OpenMP's threads do not survive the fork, and a parallel region crashes.
    torch.set_num_threads(1)
    leave_limits_to_watcher()
    while True:
        try:
            task = pipe.recv()
        except (EOFError, KeyboardInterrupt):  # the caller has gone
            return
        try:
            answer = job(task), None
        except UserError as error:
            answer = None, str(error)
        except Exception as error:
            answer = None, f'{type(error).__name__}: {error}'
        pipe.send(answer)
