"""A gallery of which one file is damaged: a flipped bit, zeroed bytes or a lost end; then searched.

A trial is wrong if an answer is another than that of the gallery as it was: other files, order, moments or scores.
"""
import os
import random
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from campaigns import Outcome, Verdict
from mmcma.apis import RetrievalInferencer, init_model
from mmcma.search import Gallery, Hit, index_folder, indexing, vector_index
from mmcma.utils.errors import UserError

#: Images of a gallery whose rows are compared all, and of one with an index of vectors, which needs as many.
IMAGES, INDEXED_IMAGES = 40, 320
QUERIES = ('a red square', 'a dark picture', 'something green')


def trials(count: int, seed: int, folder: Path) -> Iterator[Outcome]:
    """In turn of two galleries, a file of rows and any other one, which is put back afterwards."""
    generator, inferencer = random.Random(seed), RetrievalInferencer(init_model('tiny', device='cpu'))
    galleries = [_made(folder / str(images), inferencer, generator, images) for images in (IMAGES, INDEXED_IMAGES)]
    right = [_answers(gallery, inferencer) for gallery in galleries]
    for number in range(count):
        gallery = galleries[number // 2 % 2]
        files = sorted((path for path in gallery.rglob('*') if path.is_file() and path.stat().st_size),
                       key=lambda path: path.stat().st_mtime_ns)  # their names are random
        rows = [path for path in files if path.parent == gallery / 'moments.lance' / 'data']
        path = generator.choice(rows if number % 2 else files)
        content, stat = path.read_bytes(), path.stat()
        damage, damaged = _damaged(content, generator)
        path.write_bytes(damaged)
        yield _outcome(f'{path.relative_to(folder)}, {damage}', gallery, inferencer, right[number // 2 % 2])
        path.write_bytes(content)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def _made(folder: Path, inferencer: RetrievalInferencer, generator: random.Random, images: int) -> Path:
    """A gallery of several commits, with rows that were replaced and deleted."""
    media, gallery = folder / 'media', folder / 'gallery'
    media.mkdir(parents=True)
    before = indexing.ROWS_AT_ONCE, vector_index.INDEXED_FROM
    indexing.ROWS_AT_ONCE, vector_index.INDEXED_FROM = 16, INDEXED_IMAGES * 4 // 5
    for _ in range(2):
        for number in generator.sample(range(images), images * 9 // 10):
            Image.new('RGB', (64, 64), tuple(generator.choices(range(256), k=3))).save(media / f'{number}.png')
        index_folder(media, gallery, inferencer, model='tiny', workers=1)
        next(media.iterdir()).unlink()
    indexing.ROWS_AT_ONCE, vector_index.INDEXED_FROM = before
    return gallery


def _damaged(content: bytes, generator: random.Random) -> tuple[str, bytes]:
    place, changed = generator.randrange(len(content)), bytearray(content)
    kind = generator.choice(['a bit', '512 zeros', 'cut'])
    if kind == 'a bit':
        changed[place] ^= 1 << generator.randrange(8)
    elif kind == '512 zeros':
        changed[place:place + 512] = bytes(len(changed[place:place + 512]))
    else:
        del changed[place:]
    return f'{kind} at {place:,}', bytes(changed)


def _answers(path: Path, inferencer: RetrievalInferencer) -> list[list[Hit]]:
    gallery = Gallery(path, inferencer)
    return [gallery.search_text(query, k=k) for query in QUERIES for k in (3, IMAGES)]


def _outcome(name: str, path: Path, inferencer: RetrievalInferencer, right: list[list[Hit]]) -> Outcome:
    try:
        found = _answers(path, inferencer)
        return Outcome(Verdict.RIGHT if found == right else Verdict.WRONG, name)
    except UserError as error:
        return Outcome(Verdict.CRASHED if '\n' in str(error) else Verdict.REFUSED, f'{name}: {error}')
    except Exception as error:
        return Outcome(Verdict.CRASHED, f'{name}: {type(error).__name__}: {error}')
