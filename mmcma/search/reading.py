"""What a process reads of a file."""
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from mmcma.apis.media import moment_clips
from mmcma.datasets.video.moments import AUTO
from mmcma.search.listing import ListedFile
from mmcma.utils.digests import file_digest
from mmcma.utils.errors import MediaError
from mmcma.utils.spans import Span


class Content(NamedTuple):
    """A moment that was read of a file.

    Attributes:
        digest: Digest of the file's bytes.
        duration: Seconds of the file; 0 for an image.
        moments: How many the file has.
        span: Seconds.
        frames: uint8 ``(T, 3, H, W)`` as the model takes them.
        mask: bool ``(T,)``, False on padding.
        times: Seconds at which the frames that are no padding are shown.
    """
    digest: str
    duration: float
    moments: int
    span: Span
    frames: Tensor
    mask: Tensor
    times: list[float]


class Unchanged(NamedTuple):
    """A file whose content is the one that the gallery has; no moment of it was read."""
    found: ListedFile
    moments: None = None
    spans: tuple[()] = ()


class Failed(NamedTuple):
    """A file that could not be read, or a moment of one, and why.

    Attributes:
        found: The file.
        error: Names it.
        moments: How many moments the file has, of which this is one; None where nothing of it counts.
        spans: Of the moment, one; none where nothing of the file counts.
    """
    found: ListedFile
    error: str
    moments: int | None = None
    spans: tuple[Span, ...] = ()


class ReadFile:
    """Reads a file for the model; the job of a process.

    Args:
        root: The folder that holds it.
        pipeline: The steps that make frames, from :func:`mmcma.apis.media.frame_pipeline`.
        cut: How it is cut into moments, from :func:`mmcma.datasets.video.moments.check_plan`.
        key_frames: Whether key frames alone are decoded.
    """

    def __init__(self, root: Path, pipeline: Sequence[dict], cut: str = AUTO, key_frames: bool = False) -> None:
        self.root, self.pipeline, self.cut, self.key_frames = root, pipeline, cut, key_frames

    def __call__(self, found: ListedFile) -> Iterator[Content | Unchanged | Failed]:
        """The moments of the file, as they are read; or once that its digest is the known one.

        Raises:
            MediaError: It cannot be read.
        """
        path = self.root / found.path
        try:
            digest = file_digest(path)
        except OSError as error:
            raise MediaError(f'{path}: {error.strerror}') from error
        if digest == found.digest:
            yield Unchanged(found)
            return
        for span, moments, clip in moment_clips(path, self.pipeline, self.cut, key_frames=self.key_frames):
            span = Span(round(span.start, 3), round(span.end, 3))
            if isinstance(clip, MediaError):
                yield Failed(found, str(clip), moments, (span,))
            else:
                yield Content(digest, round(clip.duration, 3), moments, span, clip.frames, clip.mask,
                              clip.times.round(3).tolist())
