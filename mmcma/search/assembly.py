"""Files put together from their moments, which come one by one."""
from dataclasses import dataclass, field
from typing import NamedTuple

from mmcma.search.listing import ListedFile
from mmcma.search.reading import Failed, Unchanged
from mmcma.search.rows import Moment
from mmcma.search.writer import Written
from mmcma.utils.spans import Span


class Encoded(NamedTuple):
    """A moment that was read and encoded.

    Attributes:
        found: Its file.
        moment: The row of the gallery.
    """
    found: ListedFile
    moment: Moment

    @property
    def moments(self) -> int:
        """How many the file has."""
        return self.moment.moments

    @property
    def spans(self) -> tuple[Span, ...]:
        """When it begins and ends, one span."""
        return Span(self.moment.start, self.moment.end),


class WrittenPart(NamedTuple):
    """Moments of one file that were encoded and written where they were encoded.

    Attributes:
        found: The file.
        moments: How many it has.
        spans: Of those that were written.
        written: Where they lie.
    """
    found: ListedFile
    moments: int
    spans: tuple[Span, ...]
    written: Written


FileResult = Encoded | WrittenPart | Unchanged | Failed


@dataclass
class Gathered:
    """What has come of a file.

    Attributes:
        found: The file.
        moments: How many it has.
        seen: When those that came begin and end.
        rows: Those that were encoded and not yet written.
        written: The others that were encoded.
        faults: What is wrong with the rest.
        unchanged: Whether its content is the one that the gallery has.
        complete: Whether no more is to come.
        seconds: Of it that were encoded.
    """
    found: ListedFile
    moments: int = 1
    seen: set[Span] = field(default_factory=set)
    rows: list[Moment] = field(default_factory=list)
    written: list[Written] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    unchanged: bool = False
    complete: bool = False
    seconds: float = 0.0

    @property
    def share(self) -> float:
        """Which part of it is done."""
        return 1.0 if self.complete else len(self.seen) / self.moments

    @property
    def failed(self) -> bool:
        """Whether nothing of it can be kept."""
        return not (self.rows or self.written or self.unchanged)


class Assembly:
    """Files whose moments come in any order, perhaps twice, until they are complete."""

    def __init__(self) -> None:
        self._open: dict[str, Gathered] = {}
        self._done: set[str] = set()

    def take(self, result: FileResult) -> Gathered | None:
        """What there is of a file with what became of it or of some of its moments.

        None where some of that is known already: what was written together can only be taken together.
        """
        path = result.found.path
        file = self._open.get(path) or Gathered(result.found)
        if path in self._done or not file.seen.isdisjoint(result.spans):
            return None
        self._open[path] = file
        if isinstance(result, Encoded):
            file.rows.append(result.moment)
            file.seconds += result.moment.duration / result.moments
        elif isinstance(result, WrittenPart):
            file.written.append(result.written)
            file.seconds += result.written.seconds
        elif isinstance(result, Unchanged):
            file.unchanged = True
        else:
            file.faults.append(result.error)
        if result.spans:
            file.seen.update(result.spans)
            file.moments = result.moments or 1
            file.complete = len(file.seen) == file.moments
        else:  # all of it
            file.complete, file.rows, file.written = True, [], []
        if file.complete:
            self._done.add(path)
            del self._open[path]
        return file
