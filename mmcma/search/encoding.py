"""Files as frame embeddings: read in processes, encoded in this one."""
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from mmcma.apis import RetrievalInferencer
from mmcma.search.reading import Content, ListedFile, ReadFile
from mmcma.search.rows import Moment
from mmcma.utils.jobs import Outcome, watched_jobs


class EncodedMoment(NamedTuple):
    """A part of a file that was encoded.

    Attributes:
        start, end: Seconds; both 0 for an image.
        times: Seconds at which its n frames are shown.
        tokens: Its frame embeddings, float16 ``(n, D)``.
    """
    start: float
    end: float
    times: list[float]
    tokens: np.ndarray


class Encoded(NamedTuple):
    """A file that was read and encoded.

    Attributes:
        found: The file.
        digest: Digest of its bytes.
        duration: Seconds; 0 for an image.
        moments: Its parts, in the order of time.
    """
    found: ListedFile
    digest: str
    duration: float
    moments: list[EncodedMoment]

    def rows(self) -> list[Moment]:
        """Its moments as rows of the gallery."""
        found, digest, duration, moments = self
        return [Moment(found.path, start, end, duration, times, tokens, len(moments), digest, found.size,
                       found.modified) for start, end, times, tokens in moments]


class Unchanged(NamedTuple):
    """A file whose content is the one that the gallery has."""
    found: ListedFile


class Failed(NamedTuple):
    """A file that could not be read or encoded, and why."""
    found: ListedFile
    error: str


FileResult = Encoded | Unchanged | Failed
#: Reads and encodes files; of each it says once, in any order, what became of it.
Encoder = Callable[[ReadFile, Sequence[ListedFile]], Iterator[FileResult]]


def encode_here(job: ReadFile, todo: Sequence[ListedFile], *, inferencer: RetrievalInferencer, workers: int,
                timeout: float) -> Iterator[FileResult]:
    """An :data:`Encoder` on this machine: ``workers`` processes read, this one encodes."""
    read = watched_jobs(job, todo, workers=workers, seconds=timeout)
    return encode_read(read, inferencer.model, inferencer.batch_size)


def encode_read(read: Iterable[Outcome], model, batch_size: int) -> Iterator[FileResult]:
    """Encodes the outcomes of :class:`ReadFile`, those with as many frames together."""
    clips: dict[int, list[tuple[ListedFile, Content]]] = {}  # by the number of frames
    for found, content, error in read:
        if error is not None:
            yield Failed(found, error)
        elif content is None:
            yield Unchanged(found)
        else:
            batch = clips.setdefault(len(content.frames), [])
            batch.append((found, content))
            if len(batch) == batch_size:
                yield from _encode_batch(clips.pop(len(content.frames)), model)
    for batch in clips.values():
        yield from _encode_batch(batch, model)


@torch.inference_mode()
def _encode_batch(batch: list[tuple[ListedFile, Content]], model) -> list[FileResult]:
    frames, masks = (torch.stack([getattr(content, name) for _, content in batch]) for name in ('frames', 'mask'))
    tokens = model.encode_visual(frames, masks).tokens.cpu().numpy()  # (B, T, D)
    results: list[FileResult] = []
    for (found, content), own, mask in zip(batch, tokens, masks.numpy()):
        own = own[mask].astype(np.float16)
        moment = EncodedMoment(0.0, content.duration, content.times, own)
        results.append(Encoded(found, content.digest, content.duration, [moment]) if np.isfinite(own).all()
                       else Failed(found, 'its embedding is not finite'))
    return results
