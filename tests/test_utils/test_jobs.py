"""Jobs in processes of their own: values, errors, hangs and crashes."""
import os
import subprocess
import sys
import time
from multiprocessing.sharedctypes import RawValue
from pathlib import Path

import pytest
import torch

from mmcma.utils.errors import MediaError
from mmcma.utils.jobs import watched_jobs
from mmcma.utils.timeouts import made_progress


def job(task):
    if task == 'hang':
        time.sleep(600)
    if task == 'die':
        os._exit(9)
    if task == 'user':
        raise MediaError('a.mp4: broken')
    if task == 'bug':
        raise KeyError('x')
    return task * 2


def outcomes(tasks, workers, seconds=30):
    return {outcome.task: outcome[1:3] for outcome in watched_jobs(job, tasks, workers=workers, seconds=seconds)}


@pytest.mark.parametrize('workers', [1, 3, 20])
def test_every_task_has_its_outcome(workers):
    assert outcomes(range(10), workers) == {number: (2 * number, None) for number in range(10)}
    assert outcomes([], workers) == {}


@pytest.mark.parametrize('workers', [1, 3])
def test_what_goes_wrong_costs_one_task(workers):
    found = outcomes([1, 'die', 'user', 2, 'bug', 'die ', 3], workers)
    assert found == {1: (2, None), 2: (4, None), 3: (6, None), 'die ': ('die die ', None),
                     'die': (None, 'the process that read it died (exit code 9)'),
                     'user': (None, 'a.mp4: broken'), 'bug': (None, "KeyError: 'x'")}


@pytest.mark.parametrize('workers', [pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_hung_task_is_stopped(workers):
    found = outcomes(['hang', 1, 2], workers, seconds=3)
    assert found == {'hang': (None, 'no progress for 3 s, stopped'), 1: (2, None), 2: (4, None)}


@pytest.mark.parametrize('goes_on', ['says so', 'yields'])
def test_a_task_that_goes_on_is_not_stopped(goes_on):
    """However long it takes in all."""
    job = dict(says_so=_says_so, yields=_yields)[goes_on.replace(' ', '_')]
    outcomes = list(watched_jobs(job, [5], workers=1, seconds=2))
    assert [outcome.error for outcome in outcomes] == [None] * len(outcomes) and outcomes[-1].last


def _says_so(count):
    for _ in _yields(count):
        made_progress()


def _yields(count):
    for number in range(count):
        time.sleep(0.5)
        yield number


def values_until(task):
    """So many values, and then what the task says."""
    count, end = task
    yield from range(count)
    if end == 'die':
        os._exit(9)
    if end == 'hang':
        time.sleep(600)
    if end == 'user':
        raise MediaError('a.mp4: broken')


@pytest.mark.parametrize('workers', [pytest.param(1, marks=pytest.mark.slow), 2])
def test_generators_give_values_as_they_come(workers):
    tasks = [(3, ''), (2, 'user'), (1, 'die'), (0, ''), (2, 'hang'), (100, '')]
    found = {task: [] for task in tasks}
    for outcome in watched_jobs(values_until, tasks, workers=workers, seconds=2):
        found[outcome.task].append(outcome[1:])
        if outcome.task[1] == 'die':
            time.sleep(0.2)  # its process is gone before it is asked again
    errors = {'': None, 'user': 'a.mp4: broken', 'die': 'the process that read it died (exit code 9)',
              'hang': 'no progress for 2 s, stopped'}
    for count, end in tasks:
        assert found[count, end] == [*((number, None, False) for number in range(count)), (None, errors[end], True)]


def test_a_generator_waits_until_its_values_are_taken():
    """And is not stopped for having waited."""
    jobs = watched_jobs(_large_values, [10], workers=1, seconds=2)
    next(jobs)
    time.sleep(3)
    assert _made.value <= 3  # what was taken, what is in the pipe, and what does not fit into it
    assert [outcome.error for outcome in jobs] == [None] * 10 and _made.value == 10


_made = RawValue('i', 0)


def _large_values(count):
    for _ in range(count):
        _made.value += 1
        yield bytes(2**20)


def test_leaving_early_leaves_no_process():
    jobs = watched_jobs(_pid, range(5), workers=2, seconds=30)
    pid = next(jobs).value
    jobs.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def _pid(task):
    return os.getpid()


def parallel_sum(size: int) -> float:
    return torch.ones(size, size).matmul(torch.ones(size, 1)).sum().item()


@pytest.fixture
def two_threads():
    """PyTorch in the tests' process has two threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


def test_a_job_may_use_torch_after_its_parent_has(two_threads):
    """Both use OpenMP; the parent's threads are not there in a forked process."""
    parallel_sum(1000)
    assert [outcome.value for outcome in watched_jobs(parallel_sum, [1000], workers=1, seconds=60)] == [1e6]
    assert [outcome.value for outcome in watched_jobs(threads, [None], workers=1, seconds=60)] == [1]


def threads(_) -> int:
    return torch.get_num_threads()


def test_workers_end_when_their_parent_is_killed():
    """Idle ones wait for a task; without a parent none will come."""
    script = ('import os, time\n'
              'from mmcma.utils.jobs import watched_jobs\n'
              'jobs = watched_jobs(lambda task: os.getpid(), [1, 2], workers=2, seconds=60)\n'
              'print(next(jobs).value, next(jobs).value, flush=True)\n'
              'time.sleep(600)\n')
    parent = subprocess.Popen([sys.executable, '-c', script], stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 30
    while any(map(runs, pids)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(runs, pids))


def runs(pid: int) -> bool:
    """Whether there is such a process, and it is not one that has ended and waits to be collected."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False


def test_a_value_that_cannot_be_pickled_costs_its_task():
    found = list(watched_jobs(lambda task: (lambda: task) if task else 0, [0, 1, 0], workers=1, seconds=30))
    assert [outcome.error is None for outcome in found] == [True, False, True]
    assert 'pickle' in found[1].error.lower()


def test_tensors_outlive_the_process_that_made_them():
    jobs = watched_jobs(ones_or_die, [1, 0, 2, 0, 3, 0], workers=2, seconds=30)
    assert sorted(outcome.value.sum().item() for outcome in jobs if outcome.error is None) == [1e5, 2e5, 3e5]


def ones_or_die(task):
    return torch.full((100_000,), float(task)) if task else os._exit(1)
