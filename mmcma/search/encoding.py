"""Files as frame embeddings: read in processes, encoded in this one."""
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from mmcma.search.reading import Content, Found, ReadFile
from mmcma.utils.jobs import Outcome, watched_jobs


class Encoded(NamedTuple):
    """What became of a file.

    Attributes:
        found: The file.
        content: What was read of it, without its frames; None where that failed.
        tokens: Its frame embeddings, float16 ``(n, D)``; None where its content is the known one.
        error: Why there are none.
    """
    found: Found
    content: Content | None = None
    tokens: np.ndarray | None = None
    error: str | None = None


#: Reads and encodes files; of each it says once, in any order, what became of it.
Encoder = Callable[[ReadFile, Sequence[Found]], Iterator[Encoded]]


def encode_here(job: ReadFile, todo: Sequence[Found], *, inferencer, workers: int, timeout: float) -> Iterator[Encoded]:
    """An :data:`Encoder` on this machine: ``workers`` processes read, this one encodes."""
    read = watched_jobs(job, todo, workers=workers, seconds=timeout)
    return encode_read(read, inferencer.model, inferencer.batch_size)


def encode_read(read: Iterable[Outcome], model, batch_size: int) -> Iterator[Encoded]:
    """Encodes the outcomes of :class:`ReadFile`, those with as many frames together."""
    clips: dict[int, list[tuple[Found, Content]]] = {}  # by the number of frames
    for found, content, error in read:
        if error is not None or content.frames is None:
            yield Encoded(found, content, error=error)
            continue
        batch = clips.setdefault(len(content.frames), [])
        batch.append((found, content))
        if len(batch) == batch_size:
            yield from _encode_batch(clips.pop(len(content.frames)), model)
    for batch in clips.values():
        yield from _encode_batch(batch, model)


@torch.inference_mode()
def _encode_batch(batch: list[tuple[Found, Content]], model) -> list[Encoded]:
    frames, masks = (torch.stack([getattr(content, name) for _, content in batch]) for name in ('frames', 'mask'))
    tokens = model.encode_visual(frames, masks).tokens.cpu().numpy()  # (B, T, D)
    encoded = []
    for (found, content), own, mask in zip(batch, tokens, masks.numpy()):
        own = own[mask].astype(np.float16)
        error = None if np.isfinite(own).all() else 'its embedding is not finite'
        encoded.append(Encoded(found, content._replace(frames=None, mask=None), own, error))
    return encoded
