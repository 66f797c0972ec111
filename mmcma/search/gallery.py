"""A folder of encoded files that can be searched: first among pooled vectors, then exactly."""
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Optional
from uuid import uuid4

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor
from torch.nn import functional as F

from mmcma.search.frame_store import FrameStore, Item
from mmcma.search.manifest import VERSION, Manifest, read_manifest
from mmcma.search.vector_store import MOST_HITS, VectorStore, check_uri
from mmcma.structures import Features, padded
from mmcma.utils.errors import ConfigError, DataError, WeightsError

if TYPE_CHECKING:
    from mmcma.apis import RetrievalInferencer

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
    def has_best_frames(self) -> bool:
        """Whether some frames count more than others."""
        return len(set(self.frame_weights)) > 1


class Gallery:
    """What ``mmcma index`` made; use :meth:`open` or :meth:`create`, and close it.

    Args:
        folder: Where it lies.
        manifest: What is in ``gallery.json``.
        inferencer: Encodes queries.
    """

    def __init__(self, folder: Path, manifest: Manifest, inferencer: Optional['RetrievalInferencer'] = None,
                 lock: FileLock | None = None) -> None:
        self.folder, self.manifest, self.inferencer, self._lock = folder, manifest, inferencer, lock
        self.frames = FrameStore(folder / 'frames')
        self.vectors: VectorStore | None = None
        if inferencer is not None and inferencer.fingerprint != manifest.fingerprint:
            raise WeightsError(f'{folder} was made with the model {manifest.model!r} (fingerprint '
                               f'{manifest.fingerprint:.12}) and not with this one ({inferencer.fingerprint:.12}): '
                               'weights, similarity or frames differ. Use that model, or index into another folder')

    @classmethod
    def create(cls, folder: str | Path, *, root: str | Path, inferencer: 'RetrievalInferencer', model: str,
               checkpoint: str | None = None, store: str | None = None) -> 'Gallery':
        """A new gallery of ``root``, or the one that is there, locked and not yet connected.

        Raises:
            ConfigError: The one that is there was made of another folder or for another store.
            DataError: Another process has it, or it is damaged.
            WeightsError: It was made with another model.
        """
        folder, root = Path(folder), str(Path(root).resolve())
        store = store and check_uri(store)
        (folder / 'frames').mkdir(parents=True, exist_ok=True)
        lock = _locked(folder)
        try:
            manifest = read_manifest(folder) if (folder / 'gallery.json').exists() else Manifest(
                VERSION, root, model, checkpoint, inferencer.fingerprint, store, f'mmcma_{uuid4().hex}')
            asked_for = dict(folder=(root, manifest.root), store=(store or manifest.store, manifest.store))
            for name, (asked, there) in asked_for.items():
                if asked != there:
                    raise ConfigError(f'{folder} was made of the {name} {there!r} and not {asked!r}; choose another '
                                      f'--out, or if it has moved, change it in {folder / "gallery.json"}')
            return cls(folder, manifest, inferencer, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def open(cls, folder: str | Path, inferencer: Optional['RetrievalInferencer'] = None) -> 'Gallery':
        """An existing gallery, ready to be searched.

        Args:
            folder: Where it lies.
            inferencer: Encodes queries; only needed to search.

        Raises:
            DataError: There is none, or it is damaged, of another version, or in use.
            WeightsError: It was made with another model.
        """
        folder = Path(folder)
        # An embedded engine serves one process.
        lock = _locked(folder) if read_manifest(folder).store is None else None
        gallery = None
        try:
            gallery = cls(folder, read_manifest(folder), inferencer, lock)
            gallery.connect()
            gallery._check_vectors()
        except BaseException:
            if gallery is not None:
                gallery.close()
            elif lock is not None:
                lock.release()
            raise
        return gallery

    def connect(self) -> None:
        """Raises: DataError: When the vectors cannot be reached."""
        uri, deadline = self.manifest.store or str(self.folder / 'vectors.db'), time.monotonic() + PATIENCE
        while self.vectors is None:
            try:
                self.vectors = VectorStore(uri, self.manifest.collection)
            except DataError:  # what a killed process forked may hold the file for a moment
                if self.manifest.store is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

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
        if self.vectors is not None:
            self.vectors.close()
            self.vectors = None
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
        """The items that are most like a video or image; see :meth:`search_text`.

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
        weights = model.head.similarity.frame_weights(text.to(device), visual.to(device))
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


def check_query(query: str, preprocessor) -> None:
    """Raises: DataError: When ``query`` is empty or longer than the model reads."""
    if not query.strip():
        raise DataError('the query is empty; describe what is to be found')
    tokens, limit = len(preprocessor.tokenizer(query, verbose=False).input_ids), preprocessor.limit
    if tokens > limit:
        words = len(query.split())
        raise DataError(f'the query has {tokens} tokens ({words} words), and the model reads {limit}; shorten it to '
                        f'about {math.floor(words * (limit - 2) / tokens)} words')
