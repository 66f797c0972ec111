"""Files as frame embeddings: read in processes, encoded in this one."""
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch

from mmcma.apis import RetrievalInferencer
from mmcma.search.assembly import Assembly, Encoded, Gathered
from mmcma.search.listing import ListedFile
from mmcma.search.reading import Content, Failed, ReadFile, Unchanged
from mmcma.search.rows import Moment
from mmcma.search.writer import Written
from mmcma.utils.jobs import Outcome, watched_jobs

#: Reads and encodes files; gives, in any order, each of them with every moment that comes to it, until it is complete.
#: Rows that it writes itself come so too, or, of files of one moment, many files at a time.
Encoder = Callable[[ReadFile, Sequence[ListedFile]], Iterator[Gathered | Written]]


def encode_here(job: ReadFile, todo: Sequence[ListedFile], *, inferencer: RetrievalInferencer, workers: int,
                timeout: float) -> Iterator[Gathered]:
    """An :data:`Encoder` on this machine: ``workers`` processes read, this one encodes."""
    read = watched_jobs(job, todo, workers=workers, seconds=timeout)
    return filter(None, map(Assembly().take, encode_read(read, inferencer.model, inferencer.batch_size)))


def encode_read(read: Iterable[Outcome], model, batch_size: int) -> Iterator[Encoded | Unchanged | Failed]:
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
def _encode_batch(batch: list[tuple[ListedFile, Content]], model) -> list[Encoded | Failed]:
    frames, masks = (torch.stack([getattr(content, name) for _, content in batch]) for name in ('frames', 'mask'))
    visual = model.encode_visual(frames, masks)
    results: list[Encoded | Failed] = []
    for row, (found, content) in enumerate(batch):
        own = visual.tokens[row] if visual.mask is None else visual.tokens[row, visual.mask[row]]
        tokens = own.cpu().numpy().astype(np.float16)
        times = _in_parts(content.times, len(tokens))
        results.append(
            Encoded(found, Moment(found.path, *content.span, content.duration, times, tokens, content.moments,
                                  content.digest, found.size, found.modified)) if np.isfinite(tokens).all()
            else Failed(found, 'its embedding is not finite', content.moments, (content.span,)))
    return results


def _in_parts(times: list[float], count: int) -> list[float]:
    """The middle one of each of ``count`` equal parts of a clip's times; all times, where they are as many."""
    return [times[int((part + 0.5) * len(times) / count)] for part in range(count)]
