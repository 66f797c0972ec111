"""A folder of encoded files that can be searched: first among pooled vectors, then exactly."""
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor
from torch.nn import functional as F

from mmcma.apis import RetrievalInferencer, init_model
from mmcma.search.frame_store import FrameStore, Item
from mmcma.search.manifest import VERSION, GalleryManifest, read_manifest
from mmcma.search.queries import check_query
from mmcma.search.vector_store import MOST_HITS, VectorStore, check_uri
from mmcma.structures import Features, padded
from mmcma.utils.errors import ConfigError, DataError, WeightsError

#: Seconds to wait for another process: a short search, or decoders that outlive an indexing that was killed.
PATIENCE = 10


class Hit(NamedTuple):
    """A file that was found.

    Attributes:
        path: Where it lies.
        score: The model's similarity to the query.
        start, end: Seconds; both 0 for an image.
        frame_weights: Share of each frame in the score; empty where the similarity gives frames no weights.
        frame_times: Seconds at which those frames are shown.
    """
    path: str
    score: float
    start: float
    end: float
    frame_weights: list[float]
    frame_times: list[float]

    @property
    def best_moment(self) -> float | None:
        """Seconds of the frame that weighs most, the first of several; None where no frame weighs more than another."""
        if len(set(self.frame_weights)) < 2:
            return None
        return self.frame_times[self.frame_weights.index(max(self.frame_weights))]


class Gallery:
    """What ``mmcma index`` made; use :func:`open_gallery`, :meth:`open` or :meth:`create`, and close it.

    Args:
        folder: Where it lies.
        manifest: What is in ``gallery.json``.
        inferencer: Encodes queries.
        lock: Held by the caller; :meth:`close` releases it.

    Attributes:
        frames (FrameStore): The embeddings of all frames.
        vectors (VectorStore): One vector for each item.

    Raises:
        DataError: The vectors cannot be reached.
        WeightsError: The gallery was made with another model.
    """

    def __init__(self, folder: Path, manifest: GalleryManifest, inferencer: RetrievalInferencer,
                 lock: FileLock | None = None) -> None:
        if inferencer.fingerprint != manifest.fingerprint:
            raise WeightsError(f'{folder} was made with the model {manifest.model!r} (fingerprint '
                               f'{manifest.fingerprint:.12}) and not with this one ({inferencer.fingerprint:.12}): '
                               'weights, similarity or frames differ. Use that model, or index into another folder')
        self.folder, self.manifest, self.inferencer, self._lock = folder, manifest, inferencer, lock
        self.frames = FrameStore(folder / 'frames')
        self.vectors = _connected(folder, manifest)

    @classmethod
    def create(cls, folder: str | Path, *, root: str | Path, inferencer: RetrievalInferencer, model: str,
               checkpoint: str | None = None, store: str | None = None) -> 'Gallery':
        """A new gallery of ``root``, or the one that is there, locked.

        Raises:
            ConfigError: The one that is there was made of another folder or for another store.
            DataError: Another process has it, it is damaged, or its vectors cannot be reached.
            WeightsError: It was made with another model.
        """
        folder, root = Path(folder), str(Path(root).resolve())
        store = store and check_uri(store)
        (folder / 'frames').mkdir(parents=True, exist_ok=True)
        lock = _locked(folder)
        try:
            manifest = read_manifest(folder) if (folder / 'gallery.json').exists() else GalleryManifest(
                VERSION, root, model, checkpoint, inferencer.fingerprint, store, f'mmcma_{uuid4().hex}')
            _check_same(folder, manifest, root, store)
            return cls(folder, manifest, inferencer, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def open(cls, folder: str | Path, inferencer: RetrievalInferencer) -> 'Gallery':
        """An existing gallery, ready to be searched.

        Args:
            folder: Where it lies.
            inferencer: Encodes queries.

        Raises:
            DataError: There is none, or it is damaged, of another version, or in use.
            WeightsError: It was made with another model.
        """
        folder = Path(folder)
        with ExitStack() as on_error:
            lock = None
            if read_manifest(folder).store is None:  # an embedded engine serves one process
                lock = _locked(folder)
                on_error.callback(lock.release)
            gallery = cls(folder, read_manifest(folder), inferencer, lock)
            on_error.callback(gallery.vectors.close)
            gallery._check_vectors()
            on_error.pop_all()
        return gallery

    def _check_vectors(self) -> None:
        if not self.vectors.exists():
            raise DataError(f'{self.vectors.uri} holds no vectors of {self.folder}. {self.vectors.remedy}')
        self.vectors.load()
        found, expected = self.vectors.count(), self.manifest.items
        if expected is not None and found != expected:
            raise DataError(f'{self.vectors.uri}: {found:,} vectors where there were {expected:,}. '
                            f'{self.vectors.remedy}')

    def close(self) -> None:
        """Lets other processes have it."""
        self.vectors.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> 'Gallery':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def save(self, **changes) -> None:
        """Writes ``gallery.json`` with these changes."""
        self.manifest = replace(self.manifest, **changes)
        self.manifest.write(self.folder)

    def file(self, path: str) -> Path:
        """Where an item's file lies.

        Raises:
            DataError: Outside the folder that was indexed.
        """
        root = Path(self.manifest.root).resolve()
        file = (root / path).resolve()
        if not file.is_relative_to(root):
            raise DataError(f'{path!r} leads out of {root}, the folder of the gallery {self.folder}')
        return file

    def search_text(self, query: str, k: int = 10, rerank: int = 100, *, folder: str = '',
                    seconds: tuple[float, float] | None = None) -> list[Hit]:
        """The items that fit a text best, best first.

        Args:
            query: The text.
            k: How many.
            rerank: How many of the first stage's best the model's similarity puts in order; at least ``k``.
            folder: Only items below it; relative to the gallery's root.
            seconds: Only items that last as long: shortest and longest.

        Raises:
            DataError: The query is empty or has more words than the model reads.
        """
        check_query(query, self.inferencer.model.data_preprocessor)
        text = self.inferencer.encode_text([query])
        return self._search(text, self.inferencer.similarity, k, rerank, True, folder=folder, seconds=seconds)

    def search_path(self, path: str | Path, k: int = 10, rerank: int = 100, *, folder: str = '',
                    seconds: tuple[float, float] | None = None) -> list[Hit]:
        """The items that are most like a video or image, best first; arguments are those of :meth:`search_text`.

        Raises:
            MediaError: It cannot be read.
        """
        visual = self.inferencer.encode_visual([str(path)])
        return self._search(visual, self.inferencer.visual_similarity, k, rerank, False, folder=folder, seconds=seconds)

    @torch.inference_mode()
    def _search(self, query: Features, similarity: Callable[[Features, Features], Tensor], k: int, rerank: int,
                with_weights: bool, **only) -> list[Hit]:
        if not 1 <= k <= MOST_HITS or rerank > MOST_HITS:
            raise ConfigError(f'k={k} and rerank={rerank} must be from 1 to {MOST_HITS:,}')
        found = self.vectors.search(F.normalize(query.pooled[0], dim=0).numpy(), max(k, rerank), **only)
        if not found:
            return []
        items = [candidate.item for candidate in found]
        visual = self.features(items)
        scores = similarity(query, visual)[0]  # (len(items),)
        best = scores.argsort(descending=True, stable=True)[:k]
        weights = self._frame_weights(query, visual.rows(best)) if with_weights else None
        return [self._hit(items[index], float(scores[index]), None if weights is None else weights[rank])
                for rank, index in enumerate(best.tolist())]

    def _frame_weights(self, text: Features, visual: Features) -> Tensor | None:
        """Share of each frame in the score of the one text: ``(M, T)``; None where frames have no weights."""
        model = self.inferencer.model
        device = model.data_preprocessor.device
        weights = model.frame_weights(text.to(device), visual.to(device))
        return None if weights is None else weights[0].cpu()

    def _hit(self, item: Item, score: float, weights: Tensor | None) -> Hit:
        shares = [] if weights is None else weights[:len(item.times)].tolist()
        return Hit(str(self.file(item.path)), score, 0.0, item.duration, shares, item.times)

    def features(self, items: Sequence[Item]) -> Features:
        """What the model made of these items, as it was stored, padded to the longest."""
        frames = [torch.from_numpy(np.asarray(own, dtype=np.float32)) for own in self.frames.read(items)]
        return Features.of_frames(*padded(frames))


def first_stage_vectors(frames: Sequence[np.ndarray]) -> np.ndarray:
    """One vector of length 1 for each item, float32 ``(items, D)``: the mean of its normalised frames ``(n, D)``.

    Of the vectors that do not depend on the query it is the one whose ranking comes closest to that of
    similarities which weigh frames by it (docs/scale.md).
    """
    means = [F.normalize(torch.from_numpy(np.asarray(own, dtype=np.float32)), dim=-1).mean(dim=0) for own in frames]
    return F.normalize(torch.stack(means), dim=-1).numpy()


def open_gallery(folder: str | Path, *, model: str | None = None, checkpoint: str | None = None,
                 device: str | None = None) -> Gallery:
    """A gallery with the model that made it, ready to be searched.

    Args:
        folder: Where it lies.
        model: In place of the one in ``gallery.json``: where that has moved, or is a config or a checkpoint.
        checkpoint: In place of the trained weights that ``gallery.json`` names, should they have moved.
        device: Where the model works.

    Raises:
        DataError: There is no gallery, or it is damaged or in use.
        ConfigError: There is no such model, or the gallery names one that is no data.
        WeightsError: It is another model.
    """
    manifest = read_manifest(folder)
    if manifest.store is None:
        _locked(Path(folder)).release()  # before a model is built for nothing
    if model is None:
        manifest.check_model(folder)
        model, checkpoint = manifest.model, checkpoint or manifest.checkpoint
    return Gallery.open(folder, RetrievalInferencer(init_model(model, checkpoint, device)))


def check_free(folder: Path, root: str, store: str | None) -> None:
    """Refuses a gallery that is in use, or was made of another folder or store: a DataError or ConfigError says so."""
    if (folder / 'gallery.json').exists():
        _check_same(folder, read_manifest(folder), root, store)
    if (folder / 'lock').exists():
        _locked(folder).release()


def _check_same(folder: Path, manifest: GalleryManifest, root: str, store: str | None) -> None:
    asked_for = dict(folder=(root, manifest.root), store=(store or manifest.store, manifest.store))
    for name, (asked, there) in asked_for.items():
        if asked != there:
            raise ConfigError(f'{folder} was made of the {name} {there!r} and not {asked!r}; choose another '
                              f'--out, or if it has moved, change it in {folder / "gallery.json"}')


def _connected(folder: Path, manifest: GalleryManifest) -> VectorStore:
    uri, deadline = manifest.store or str(folder / 'vectors.db'), time.monotonic() + PATIENCE
    while True:
        try:
            return VectorStore(uri, manifest.collection)
        except DataError:  # what a killed process forked may hold the file for a moment
            if manifest.store is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _locked(folder: Path) -> FileLock:
    """The gallery's lock, held.

    Raises:
        DataError: Another process has it.
    """
    lock = FileLock(folder / 'lock')
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        raise DataError(f'{folder} is in use by another process; wait for it or stop it') from None
    return lock
