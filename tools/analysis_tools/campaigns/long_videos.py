"""Indexing of long videos killed at a random moment (SIGKILL) while others search, and started again.

A trial is wrong if the gallery then differs from that of an undisturbed run, or a search fails meanwhile.
"""
import multiprocessing
import random
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from campaigns import Outcome, Verdict
from mmcma.apis import RetrievalInferencer, init_model
from mmcma.search import Gallery, index_folder, indexing
from mmcma.utils.errors import DataError

#: Seconds of each video, two frames each; rows of a commit.
LENGTHS, ROWS = (65, 130, 20), 8


def trials(count: int, seed: int, folder: Path) -> Iterator[Outcome]:
    generator = random.Random(seed)
    media, whole = folder / 'media', folder / 'whole'
    for number, seconds in enumerate(LENGTHS):
        _write(media / f'{number}.mp4', seconds, number)
    began = time.monotonic()
    _in_a_process(media, whole).join()
    longest = time.monotonic() - began
    inferencer = RetrievalInferencer(init_model('tiny', device='cpu'))
    expected = _contents(whole, inferencer)
    for number in range(count):
        gallery, moment = folder / f'gallery{number}', generator.uniform(0, longest)
        child, began, searches = _in_a_process(media, gallery), time.monotonic(), 0
        try:
            while child.is_alive() and time.monotonic() - began < moment:
                searches += _search(gallery, inferencer)
            child.kill()
            child.join()
            searches += _search(gallery, inferencer)
            _in_a_process(media, gallery).join()
            same = _contents(gallery, inferencer) == expected
        except Exception as error:
            yield Outcome(Verdict.CRASHED, f'killed after {moment:.2f} s: {type(error).__name__}: {error}')
            continue
        yield Outcome(Verdict.RIGHT if same else Verdict.WRONG,
                      f'killed after {moment:.2f} s, {searches} searches meanwhile')


def _in_a_process(media: Path, gallery: Path):
    """Lance's threads do not survive a fork: of a process that has imported what is heavy and has run nothing yet."""
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['mmcma.apis', 'mmcma.search', 'mmcma.models', 'transformers.models.clip'])
    process = context.Process(target=_index, args=(media, gallery))
    process.start()
    return process


def _index(media: Path, gallery: Path) -> None:
    multiprocessing.set_start_method('fork', force=True)  # for its own processes
    indexing.ROWS_AT_ONCE = ROWS
    index_folder(media, gallery, RetrievalInferencer(init_model('tiny', device='cpu')), model='tiny', workers=2)


def _search(gallery: Path, inferencer: RetrievalInferencer) -> bool:
    """Whether there was anything to search; a gallery that holds nothing yet says so."""
    try:
        return bool(Gallery(gallery, inferencer).search_text('a red square', k=3))
    except DataError as error:
        if 'holds nothing yet' in str(error) or 'is no gallery' in str(error):
            return False
        raise


def _contents(gallery: Path, inferencer: RetrievalInferencer) -> list:
    opened = Gallery(gallery, inferencer)
    return sorted((path, moment.start, moment.end, moment.times, moment.digest) for path in opened.paths()
                  for moment in opened.moments_of(path))


def _write(path: Path, seconds: int, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    colours = np.random.default_rng(seed).integers(0, 256, (2 * seconds, 3), dtype=np.uint8)
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=2)
        stream.width, stream.height, stream.pix_fmt = 64, 64, 'yuv420p'
        for colour in colours:
            frame = av.VideoFrame.from_ndarray(np.broadcast_to(colour, (64, 64, 3)).copy(), format='rgb24')
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
