"""Files put together from their moments, which come one by one."""
from collections.abc import Callable
from dataclasses import dataclass, field

from mmcma.search.encoding import Encoded, FileResult
from mmcma.search.listing import ListedFile
from mmcma.search.reading import Unchanged
from mmcma.search.rows import Moment
from mmcma.search.writer import Written
from mmcma.utils.spans import Span


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
    """Files whose moments come in any order, perhaps twice, until they are complete.

    Args:
        write: Puts moments where they take no memory.
        most: Moments of a file that are kept until they are written.
    """

    def __init__(self, write: Callable[[list[Moment]], Written], most: int) -> None:
        self._write, self._most = write, most
        self._open: dict[str, Gathered] = {}
        self._done: set[str] = set()

    def take(self, result: FileResult) -> Gathered | None:
        """What there is of a file with what became of it or of one of its moments; None where that is known already."""
        path = result.found.path
        file = self._open.get(path) or Gathered(result.found)
        if path in self._done or result.span in file.seen:
            return None
        self._open[path] = file
        if isinstance(result, Encoded):
            self._add(file, result.moment)
        elif isinstance(result, Unchanged):
            file.unchanged = True
        else:
            file.faults.append(result.error)
        if result.span is None:  # all of it
            file.complete, file.rows, file.written = True, [], []
        else:
            file.seen.add(result.span)
            file.moments = result.moments or 1
            file.complete = len(file.seen) == file.moments
        if file.complete:
            self._done.add(path)
            del self._open[path]
        return file

    def _add(self, file: Gathered, row: Moment) -> None:
        file.seconds += row.duration / row.moments
        file.rows.append(row)
        if len(file.rows) == self._most:
            file.written.append(self._write(file.rows))
            file.rows = []
