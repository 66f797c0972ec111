"""The kinds of stress.py, a module each: ``trials(count, seed, folder)`` yields an `Outcome` for each trial."""
from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """What a trial ended with."""

    RIGHT = 'right'  #: The right value, or a run that ends like one that nothing happened to.
    REFUSED = 'refused'  #: One line of an error of the project that names what is wrong.
    WRONG = 'wrong'  #: A wrong value, silently.
    CRASHED = 'crashed'  #: A traceback, an error that is not the project's, or no answer in time.


@dataclass(frozen=True)
class Outcome:
    """One trial: what was done to the input, and what came out.

    Attributes:
        verdict: What it ended with.
        detail: One line: the mutation, and the value or message that came out.
    """

    verdict: Verdict
    detail: str
