"""From a folder of files to a gallery, and from its last state to the next."""
import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from mmcma.apis import RetrievalInferencer
from mmcma.apis.media import frame_pipeline
from mmcma.search.encoding import Encoded, Encoder, Failed, Unchanged, encode_here
from mmcma.search.frame_store import Item
from mmcma.search.gallery import Gallery, check_free, first_stage_vectors
from mmcma.search.reading import ListedFile, ReadFile, list_folder
from mmcma.search.vector_store import check_uri, milvus_client
from mmcma.utils.errors import DataError
from mmcma.utils.files import write_atomic

#: Items of a shard: what a kill loses at most, beside those being decoded.
SHARD_ITEMS = 64
#: Items whose vectors are brought back at once.
REFILL = 4096
#: Called with how many files are done, of how many, and how many of them failed.
Progress = Callable[[int, int, int], None]


@dataclass
class IndexReport:
    """What became of the files of a folder, each counted once.

    Attributes:
        added, updated, deleted, failed, unchanged: How many of each.
        items: How many the gallery holds now.
    """
    added: int = 0
    updated: int = 0
    deleted: int = 0
    failed: int = 0
    unchanged: int = 0
    items: int = 0


def index_folder(folder: str | Path, gallery_path: str | Path, inferencer: RetrievalInferencer, *, model: str,
                 checkpoint: str | None = None, store: str | None = None, workers: int | None = None,
                 timeout: float = 300, ray: str | None = None,
                 progress: Progress = lambda done, total, failed: None) -> IndexReport:
    """Brings a gallery to the state of a folder: encodes what is new or has changed, forgets what is gone.

    Whatever ends it, the gallery can be searched and the next call goes on. Files that
    cannot be read are listed in ``failures.jsonl`` and tried again by the next call.

    Args:
        folder: Videos and images, in subfolders or not. It is only read.
        gallery_path: Folder of the gallery.
        inferencer: Encodes the files.
        model: What it was made from, for those who open the gallery later.
        checkpoint: Trained weights that it was given beside, for those who open the gallery later.
        store: Address of a Milvus server; None for a file in the gallery.
        workers: Decoding processes; None for one a core.
        timeout: Seconds after which a file has failed.
        ray: Address of a Ray cluster that reads and encodes, or ``'auto'``; None for this process and its workers.
        progress: Called after each file, a :data:`Progress`.

    Raises:
        DataError: There is nothing to index, no file can be read, or the gallery is in use, damaged, or on a full disk;
            or there is no cluster, or it fails.
        ConfigError: The gallery was made of another folder, or Milvus or Ray is not installed.
        WeightsError: The gallery was made with another model.
    """
    milvus_client()  # before anything is made
    found, unfit = list_folder(Path(folder))
    with _encoder(inferencer, workers, timeout, ray) as encoder, \
            Gallery.create(gallery_path, root=folder, inferencer=inferencer, model=_absolute(model),
                           checkpoint=checkpoint and _absolute(checkpoint), store=store) as gallery, _room_for(gallery):
        indexing = _Indexing(gallery, found, unfit)
        indexing.forget_the_gone()
        job = ReadFile(Path(gallery.manifest.root), frame_pipeline(inferencer.model.cfg))
        indexing.encode(encoder, job, progress)
        indexing.finish()
    if not indexing.items:
        raise DataError(f'none of the {len(found) + len(unfit):,} files in {folder} can be read; see '
                        f'{gallery.folder / "failures.jsonl"}')
    return indexing.report


def check_request(folder: str | Path, gallery_path: str | Path, store: str | None = None) -> None:
    """Refuses what :func:`index_folder` would refuse whatever the model, before one is built.

    Raises:
        DataError: There is nothing to index, or the gallery is in use or damaged.
        ConfigError: The gallery was made of another folder or for another store, or Milvus is not installed.
    """
    milvus_client()
    list_folder(Path(folder))
    check_free(Path(gallery_path), str(Path(folder).resolve()), store and check_uri(store))


def _encoder(inferencer: RetrievalInferencer, workers: int | None, timeout: float,
             ray: str | None) -> AbstractContextManager[Encoder]:
    if ray is not None:
        from mmcma.search.ray_encoding import ray_encoder
        return ray_encoder(ray, inferencer, workers=workers, timeout=timeout)
    return nullcontext(partial(encode_here, inferencer=inferencer, workers=max(1, workers or os.cpu_count() or 1),
                               timeout=timeout))


def _absolute(name: str) -> str:
    return str(Path(name).resolve()) if name and Path(name).exists() else name


@contextmanager
def _room_for(gallery: Gallery) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f'{gallery.folder}: cannot be written ({error.strerror or error}). What was indexed so far is '
                        'whole; make room and run mmcma index again to go on') from error


class _Indexing:
    """One run over a locked gallery."""

    def __init__(self, gallery: Gallery, found: dict[str, ListedFile], unfit: dict[str, str]) -> None:
        self.gallery, self.found, self.failures = gallery, found, dict(unfit)
        self.report = IndexReport()
        self.items = gallery.frames.read_manifest()
        self.next_id = max([gallery.manifest.next_id, *(1 + item.id for item in self.items.values())])
        #: Encoded but not yet stored, with the frames of each, float16 ``(n, D)``.
        self.waiting: list[tuple[Item, np.ndarray]] = []
        gallery.save(items=None)
        gallery.frames.tidy(self.items)
        self._reconcile()

    def _reconcile(self) -> None:
        """Makes the vectors those of the manifest's items, wherever the last run stopped."""
        vectors, live = self.gallery.vectors, {item.id: item for item in self.items.values()}
        there: set[int] = set()
        if vectors.exists():
            vectors.load()
            there = vectors.ids()
            vectors.remove(sorted(there - live.keys()))
        missing = sorted(live.keys() - there)
        for start in range(0, len(missing), REFILL):
            self._add_vectors([live[number] for number in missing[start:start + REFILL]])

    def _add_vectors(self, items: list[Item]) -> None:
        frames = self.gallery.frames.read(items)
        if not self.gallery.vectors.exists():
            self.gallery.vectors.create(frames[0].shape[1])
        self.gallery.vectors.add(items, first_stage_vectors(frames))

    def forget_the_gone(self) -> None:
        """Takes out what the folder no longer has."""
        unread = tuple(f'{path}/' for path in self.failures)  # of folders nothing is known
        gone = [path for path in self.items if path not in self.found and not path.startswith(unread)]
        self._forget(gone)
        self.report.deleted = len(gone)

    def _forget(self, paths: list[str]) -> None:
        if paths:
            self.gallery.frames.record(gone=paths)
            self.gallery.vectors.remove([self.items.pop(path).id for path in paths])

    def encode(self, encoder: Encoder, job: ReadFile, progress: Progress) -> None:
        """Encodes what is new or has changed, and stores it as it comes."""
        todo = [found._replace(digest=self.items[path].digest) if path in self.items else found
                for path, found in self.found.items() if not self._is_known(found)]
        self.report.unchanged = len(self.found) - len(todo)
        for done, encoded in enumerate(encoder(job, todo), 1):
            if isinstance(encoded, Failed):
                self._fail(encoded.found.path, encoded.error)
            elif isinstance(encoded, Unchanged):
                self._touch(encoded.found)
            else:
                self._keep(encoded)
            progress(done, len(todo), len(self.failures))
        self._store()

    def _is_known(self, found: ListedFile) -> bool:
        item = self.items.get(found.path)
        return item is not None and (item.size, item.modified) == (found.size, found.modified)

    def _touch(self, found: ListedFile) -> None:
        """Takes note of another date of the same content."""
        self.items[found.path] = self.items[found.path]._replace(size=found.size, modified=found.modified)
        self.gallery.frames.record([self.items[found.path]])
        self.report.unchanged += 1

    def _fail(self, path: str, reason: str) -> None:
        self.failures[path] = reason
        self._forget([path] if path in self.items else [])  # what it was is not what it is

    def _keep(self, encoded: Encoded) -> None:
        found = encoded.found
        shard = self.waiting[0][0].id if self.waiting else self.next_id
        first = sum(len(frames) for _, frames in self.waiting)
        self.waiting.append((Item(self.next_id, found.path, encoded.duration, shard, first, encoded.times,
                                  found.size, found.modified, encoded.digest), encoded.tokens))
        self.next_id += 1
        if len(self.waiting) == SHARD_ITEMS:
            self._store()

    def _store(self) -> None:
        """Puts what waits into the gallery: frames, then the manifest, then vectors, which the manifest can replace."""
        if not self.waiting:
            return
        items, frames = map(list, zip(*self.waiting))
        self.gallery.frames.write_shard(items[0].shard, np.concatenate(frames))
        self.gallery.frames.record(items)
        self.waiting = []
        replaced = [self.items[item.path].id for item in items if item.path in self.items]
        self.items.update({item.path: item for item in items})
        self.gallery.vectors.remove(replaced)
        self._add_vectors(items)
        self.report.updated += len(replaced)
        self.report.added += len(items) - len(replaced)

    def finish(self) -> None:
        """Lists what failed, seals the vectors and says that the gallery is complete."""
        lines = [json.dumps(dict(path=path, error=reason), ensure_ascii=False) + '\n'
                 for path, reason in sorted(self.failures.items())]
        write_atomic(''.join(lines).encode(), self.gallery.folder / 'failures.jsonl')
        self.report.failed, self.report.items = len(self.failures), len(self.items)
        if self.items:
            self.gallery.vectors.flush()
        self.gallery.frames.tidy(self.items)
        self.gallery.save(items=len(self.items), next_id=self.next_id)
