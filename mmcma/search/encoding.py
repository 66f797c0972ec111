"""Files as frame embeddings: read in processes, encoded in this one."""
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from mmcma.apis import RetrievalInferencer
from mmcma.search.listing import ListedFile
from mmcma.search.reading import Content, Failed, ReadFile, Unchanged
from mmcma.search.rows import Moment
from mmcma.search.writer import Written
from mmcma.utils.jobs import Outcome, watched_jobs
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
    def span(self) -> Span:
        """When it begins and ends."""
        return Span(self.moment.start, self.moment.end)


FileResult = Encoded | Unchanged | Failed
#: Reads and encodes files; gives, in any order, what became of each moment of each. It may write whole files itself.
Encoder = Callable[[ReadFile, Sequence[ListedFile]], Iterator[FileResult | Written]]


def encode_here(job: ReadFile, todo: Sequence[ListedFile], *, inferencer: RetrievalInferencer, workers: int,
                timeout: float) -> Iterator[FileResult]:
    """An :data:`Encoder` on this machine: ``workers`` processes read, this one encodes."""
    read = watched_jobs(job, todo, workers=workers, seconds=timeout)
    return encode_read(read, inferencer.model, inferencer.batch_size)


def encode_read(read: Iterable[Outcome], model, batch_size: int) -> Iterator[FileResult]:
    """Encodes the outcomes of :class:`ReadFile`, those with as many frames together."""
    clips: dict[int, list[tuple[ListedFile, Content]]] = {}  # by the number of frames
    for found, content, error, _ in read:
        if error is not None:
            yield Failed(found, error)
        elif isinstance(content, Content):
            batch = clips.setdefault(len(content.frames), [])
            batch.append((found, content))
            if len(batch) == batch_size:
                yield from _encode_batch(clips.pop(len(content.frames)), model)
        elif content is not None:
            yield content
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
        results.append(
            Encoded(found, Moment(found.path, *content.span, content.duration, times, tokens, content.moments,
                                  content.digest, found.size, found.modified)) if np.isfinite(tokens).all()
            else Failed(found, 'its embedding is not finite', content.moments, content.span))
    return results


def _in_parts(times: list[float], count: int) -> list[float]:
    """The middle one of each of ``count`` equal parts of a clip's times; all times, where they are as many."""
    return [times[int((part + 0.5) * len(times) / count)] for part in range(count)]
