"""How far an indexing is."""
from collections.abc import Callable
from dataclasses import dataclass, field

from mmcma.search.assembly import Gathered
from mmcma.search.writer import Written


@dataclass
class IndexProgress:
    """How far an indexing is.

    Attributes:
        files, of_files: Files that are done, and all that are to be encoded.
        failed: Files that could not be read, or not in all their moments.
        done, of_all: The same in bytes, files that are done in part too.
        seconds: Of video that were encoded.
    """
    files: int = 0
    of_files: int = 0
    failed: int = 0
    done: float = 0.0
    of_all: int = 0
    seconds: float = 0.0
    _partly: dict[str, tuple[float, float]] = field(default_factory=dict, repr=False)  # share and seconds, by path

    def take(self, file: Gathered) -> None:
        """Counts what is new of a file."""
        share, seconds = self._partly.pop(file.found.path, (0.0, 0.0))
        self.files += file.complete
        self.done += (file.share - share) * file.found.size
        self.seconds += file.seconds - seconds
        if not file.complete:
            self._partly[file.found.path] = file.share, file.seconds

    def take_written(self, written: Written) -> None:
        """Counts whole files."""
        self.files += len(written.files)
        self.done += sum(file.size for file in written.files.values())
        self.seconds += written.seconds


#: Called after each moment.
Progress = Callable[[IndexProgress], None]
