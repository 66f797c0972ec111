"""Files as frame embeddings: read in processes, encoded in this one."""
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from mmcma.apis import RetrievalInferencer
from mmcma.search.reading import Content, ListedFile, ReadFile
from mmcma.utils.jobs import Outcome, watched_jobs


class Encoded(NamedTuple):
    """A file that was read and encoded.

    Attributes:
        found: The file.
        digest: Digest of its bytes.
        times: Seconds at which its n frames are shown; of fewer embeddings that stand for the whole clip, seconds in
            the middle of its equal parts.
        duration: Seconds; 0 for an image.
        tokens: Its frame embeddings, float16 ``(n, D)``.
    """
    found: ListedFile
    digest: str
    times: list[float]
    duration: float
    tokens: np.ndarray


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
    visual = model.encode_visual(frames, masks)
    results: list[FileResult] = []
    for row, (found, content) in enumerate(batch):
        own = visual.tokens[row] if visual.mask is None else visual.tokens[row, visual.mask[row]]
        tokens = own.cpu().numpy().astype(np.float16)
        times = _in_parts(content.times, len(tokens))
        results.append(Encoded(found, content.digest, times, content.duration, tokens) if np.isfinite(tokens).all()
                       else Failed(found, 'its embedding is not finite'))
    return results


def _in_parts(times: list[float], count: int) -> list[float]:
    """The middle one of each of ``count`` equal parts of a clip's times; all times, where they are as many."""
    return [times[int((part + 0.5) * len(times) / count)] for part in range(count)]
