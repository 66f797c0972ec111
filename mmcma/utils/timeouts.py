"""A bound on how long a piece of work may go without progress, whatever it waits for."""
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from types import SimpleNamespace
from typing import Any, TypeVar

from mmcma.utils.errors import MediaError

Result = TypeVar('Result')
_given_up: list[Thread] = []
#: Where another process sees when this one last made progress, in seconds of ``time.monotonic``.
_watcher: Any = None
_thread = threading.local()


def watch_process(heard: Any) -> None:
    """Says that another process ends this one when it makes no progress: its limit is the only one from here on.

    Args:
        heard: A shared double; ``value`` is when progress was last made.
    """
    global _watcher
    _watcher = heard


def made_progress() -> None:
    """Says that the work in this thread goes on: a frame was decoded, a piece of a file read."""
    heard = _watcher or getattr(_thread, 'heard', None)
    if heard is not None:
        heard.value = time.monotonic()


def run_with_timeout(seconds: float | None, work: Callable[[], Result], what: str) -> Result:
    """Calls ``work`` and gives what it returns or raises, if it goes on all the time.

    For a data loader's workers, which may have no processes of their own. In processes of
    ``watched_jobs`` it sets no limit beside theirs. The work runs in a thread: a signal would not end a call into C,
    and decoders release the interpreter's lock while they decode. A thread cannot be
    killed: one that hangs is left behind, and the error says how many of them this
    process has. They do not hold up its end.

    Args:
        seconds: The most that may pass without :func:`made_progress`; None calls it directly, without a bound.
        work: Takes no arguments.
        what: Name of the file, for the message.

    Raises:
        MediaError: When it makes no progress for longer.
    """
    if seconds is None or _watcher is not None:
        return work()
    outcome: Future[Result] = Future()
    heard = SimpleNamespace(value=time.monotonic())

    def run() -> None:
        _thread.heard = heard
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    thread = Thread(target=run, name=f'reading {what}', daemon=True)
    thread.start()
    while thread.is_alive() and (left := heard.value + seconds - time.monotonic()) > 0:
        thread.join(left)
    if not outcome.done():
        _given_up[:] = [*filter(Thread.is_alive, _given_up), thread]
        raise MediaError(f'{what}: given up after {seconds:g} s without progress (timeout of LoadVideoFrames; '
                         f'reads that hang in this process: {len(_given_up)})')
    return outcome.result()
