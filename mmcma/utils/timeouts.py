"""A bound on how long a piece of work may take, whatever it waits for."""
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

from mmcma.utils.errors import MediaError

Result = TypeVar('Result')
_given_up: list[Thread] = []
_is_watched = False


def leave_limits_to_watcher() -> None:
    """Says that another process ends this one when it takes too long: its limit is the only one from here on."""
    global _is_watched
    _is_watched = True


def made_progress() -> None:
    """Says that the work in this thread goes on."""


def run_with_timeout(seconds: float | None, work: Callable[[], Result], what: str) -> Result:
    """Calls ``work`` and gives what it returns or raises, if it does so in time.

    For a data loader's workers, which may have no processes of their own. In processes of
    ``watched_jobs`` it sets no limit beside theirs. The work runs in a thread: a signal would not end a call into C,
    and decoders release the interpreter's lock while they decode. A thread cannot be
    killed: one that hangs is left behind, and the error says how many of them this
    process has. They do not hold up its end.

    Args:
        seconds: The most it may take; None calls it directly, without a bound.
        work: Takes no arguments.
        what: Name of the file, for the message.

    Raises:
        MediaError: When it takes longer.
    """
    if seconds is None or _is_watched:
        return work()
    outcome: Future[Result] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    thread = Thread(target=run, name=f'reading {what}', daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome.done():
        _given_up[:] = [*filter(Thread.is_alive, _given_up), thread]
        raise MediaError(f'{what}: given up after {seconds:g} s (timeout of LoadVideoFrames; '
                         f'reads that hang in this process: {len(_given_up)})')
    return outcome.result()
