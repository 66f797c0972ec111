"""A folder of encoded files that can be searched: first among pooled vectors, then exactly."""
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mmcma.apis import RetrievalInferencer, init_model
from mmcma.search.hit import Hit
from mmcma.search.manifest import GalleryManifest, read_manifest
from mmcma.search.moment_table import MomentTable
from mmcma.search.queries import check_query
from mmcma.search.rows import Moment
from mmcma.structures import Features, padded
from mmcma.utils.errors import ConfigError, DataError, WeightsError
from mmcma.utils.spans import join_overlapping

#: Most moments that a query may ask for.
MOST_HITS = 16384


class Gallery:
    """What ``mmcma index`` made, as it was last committed; use :func:`open_gallery`.

    A writer may go on meanwhile; :meth:`refresh` takes up what it has committed.

    Args:
        uri: Its folder, or any URI that LanceDB takes.
        inferencer: Encodes queries.
        manifest: What :func:`read_manifest` gave, where it was called.

    Attributes:
        root: The folder that was indexed.

    Raises:
        DataError: There is no gallery, it holds nothing yet, or it is damaged.
        WeightsError: It was made with another model.
    """

    def __init__(self, uri: str | Path, inferencer: RetrievalInferencer,
                 manifest: GalleryManifest | None = None) -> None:
        self.uri, self.inferencer = str(uri), inferencer
        self._take(manifest or read_manifest(self.uri))

    def _take(self, manifest: GalleryManifest) -> None:
        check_fingerprint(self.uri, manifest, self.inferencer)
        if not manifest.rows:
            raise DataError(f'{self.uri} holds nothing yet: mmcma index goes on where it stopped')
        self.moments = MomentTable(self.uri, manifest)
        self.moments.verify(manifest)
        self.manifest, self.root = manifest, Path(manifest.root)
        self._paths: list[str] | None = None

    def refresh(self) -> bool:
        """Takes up what was committed since it was opened; whether there was anything.

        Raises:
            DataError: It is damaged.
            WeightsError: It was made anew with another model.
        """
        manifest = read_manifest(self.uri)
        if manifest == self.manifest:
            return False
        self._take(manifest)
        return True

    def paths(self) -> list[str]:
        """Its files, relative to its root, in order."""
        if self._paths is None:
            self._paths = sorted({path for path, in self.moments.facts('path')})
        return self._paths

    def __len__(self) -> int:
        """How many files it holds."""
        return len(self.paths())

    def moments_of(self, path: str) -> list[Moment]:
        """The moments of a file, in the order of time; none where it does not have the file."""
        return self.moments.of_path(path)

    def file(self, path: str) -> Path:
        """Where an item's file lies.

        Raises:
            DataError: Outside the folder that was indexed.
        """
        root = self.root.resolve()
        try:
            file = (root / path).resolve()
        except RuntimeError as error:
            raise DataError(f'{path!r} is a link that leads to itself') from error
        if not file.is_relative_to(root):
            raise DataError(f'{path!r} leads out of {root}, the folder of the gallery {self.uri}')
        return file

    def search_text(self, query: str, k: int = 10, rerank: int = 100, *, folder: str = '',
                    seconds: tuple[float, float] | None = None, per_file: int | None = None) -> list[Hit]:
        """The moments that fit a text best, best first, of which no two of a file overlap.

        Args:
            query: The text.
            k: How many.
            rerank: How many of the first stage's best the model's similarity puts in order; at least ``k``, and more
                where those overlap or are too many of one file.
            folder: Only files below it; relative to the gallery's root.
            seconds: Only files that last as long: shortest and longest.
            per_file: At most so many moments of a file; None for any number.

        Raises:
            DataError: The query is empty or has more words than the model reads.
            ConfigError: Another argument cannot be.
        """
        check_query(query, self.inferencer.model.data_preprocessor)
        return self.search_features(self.inferencer.encode_text([query]), k, rerank, folder=folder, seconds=seconds,
                                    per_file=per_file)[0]

    def search_path(self, path: str | Path, k: int = 10, rerank: int = 100, *, folder: str = '',
                    seconds: tuple[float, float] | None = None, per_file: int | None = None) -> list[Hit]:
        """The moments that are most like a video or image, best first; arguments are those of :meth:`search_text`.

        Raises:
            MediaError: It cannot be read.
        """
        return self.search_features(self.inferencer.encode_visual([str(path)]), k, rerank, text=False, folder=folder,
                                    seconds=seconds, per_file=per_file)[0]

    @torch.inference_mode()
    def search_features(self, queries: Features, k: int = 10, rerank: int = 100, *, text: bool = True,
                        folder: str = '', seconds: tuple[float, float] | None = None,
                        per_file: int | None = None) -> list[list[Hit]]:
        """What N encoded queries find, for each of them as :meth:`search_text` gives it.

        Args:
            queries: N texts or visual items, as the inferencer encodes them.
            text: Whether they are texts.
        """
        _check_request(k, rerank, seconds, per_file)
        folder = self._below_root(folder)
        vectors = F.normalize(queries.pooled, dim=-1).numpy()
        return [self._best(queries.rows(slice(row, row + 1)), partial(
            self.moments.search, vector, folder=folder, seconds=seconds), k, max(k, rerank), text, per_file)
            for row, vector in enumerate(vectors)]

    def _best(self, query: Features, first_stage: Callable[[int], list[Moment]], k: int, limit: int, text: bool,
              per_file: int | None) -> list[Hit]:
        """The best k of which no two overlap, among as many of the first stage's best as that takes."""
        while True:
            moments = first_stage(limit)
            found = join_overlapping(self._ordered(query, moments, text), per_file)[:k]
            if len(found) == k or len(moments) < limit or limit == MOST_HITS:
                return [self._hit(*one) for one in found]
            limit = min(4 * limit, MOST_HITS)

    def _ordered(self, query: Features, moments: list[Moment], text: bool) -> list['_Scored']:
        """What the first stage found, as the model's similarity orders it; equals by path, not as they were written."""
        if not moments:
            return []
        visual = features_of(moments)
        similarity = self.inferencer.similarity if text else self.inferencer.visual_similarity
        scores = similarity(query, visual)[0].tolist()
        weights = self._frame_weights(query, visual) if text else None
        order = sorted(range(len(moments)), key=lambda row: (-scores[row], moments[row].path, moments[row].start))
        return [_Scored(moments[row], scores[row], None if weights is None else weights[row]) for row in order]

    def _below_root(self, folder: str) -> str:
        """A folder as the rows' paths begin: without ``.``, ``..`` and slashes at its ends.

        Raises:
            ConfigError: It leads out of the root.
        """
        given = os.path.relpath(folder, self.root) if Path(folder).is_relative_to(self.root) else folder.strip('/')
        inside = os.path.normpath(given or '.')
        if inside.split('/')[0] == '..':
            raise ConfigError(f'the folder {folder!r} leads out of {self.root}')
        return '' if inside == '.' else inside

    def _frame_weights(self, text: Features, visual: Features) -> Tensor | None:
        """Share of each frame in the score of the one text: ``(M, T)``; None where frames have no weights."""
        model = self.inferencer.model
        device = model.data_preprocessor.device
        weights = model.frame_weights(text.to(device), visual.to(device))
        return None if weights is None else weights[0].cpu()

    def _hit(self, moment: Moment, score: float, weights: Tensor | None) -> Hit:
        shares = [] if weights is None else weights[:len(moment.times)].tolist()
        return Hit(str(self.root / moment.path), score, moment.start, moment.end, shares, moment.times,
                   self._mark(moment), moment.duration)

    def _mark(self, moment: Moment) -> str | None:
        """What became of a moment's file."""
        try:
            stat = os.stat(self.file(moment.path))
        except DataError:
            return 'leads out'
        except OSError:
            return 'missing'
        return None if (stat.st_size, stat.st_mtime_ns) == (moment.size, moment.modified) else 'changed'


class _Scored(NamedTuple):
    """A moment with its score and the shares of its frames in that, as ``join_overlapping`` takes it."""
    moment: Moment
    score: float
    weights: Tensor | None

    @property
    def path(self) -> str:
        return self.moment.path

    @property
    def start(self) -> float:
        return self.moment.start

    @property
    def end(self) -> float:
        return self.moment.end


def features_of(moments: Sequence[Moment]) -> Features:
    """What the model made of these moments, as it was stored, padded to the longest."""
    return Features.of_frames(*padded([torch.from_numpy(moment.frames.astype('float32')) for moment in moments]))


def open_gallery(uri: str | Path, *, model: str | None = None, checkpoint: str | None = None,
                 device: str | None = None) -> Gallery:
    """A gallery with the model that made it, ready to be searched.

    Args:
        uri: Its folder, or any URI that LanceDB takes, as in ``s3://bucket/gallery``.
        model: In place of the one that the gallery names: where that has moved, or is a config or a checkpoint.
        checkpoint: In place of the trained weights that the gallery names, should they have moved.
        device: Where the model works.

    Raises:
        DataError: There is no gallery, it holds nothing yet, or it is damaged.
        ConfigError: There is no such model, or the gallery names one that is no data.
        WeightsError: It is another model.
    """
    manifest = read_manifest(str(uri))
    if model is None:
        manifest.check_model(str(uri))
        model, checkpoint = manifest.model, checkpoint or manifest.checkpoint
    return Gallery(uri, RetrievalInferencer(init_model(model, checkpoint, device)), manifest)


def check_fingerprint(uri: str, manifest: GalleryManifest, inferencer: RetrievalInferencer) -> None:
    """Refuses another model than the one that made the gallery, with a WeightsError."""
    if inferencer.fingerprint != manifest.fingerprint:
        raise WeightsError(f'{uri} was made with the model {manifest.model!r} (fingerprint '
                           f'{manifest.fingerprint:.12}) and not with this one ({inferencer.fingerprint:.12}): '
                           'weights, similarity or frames differ. Use that model, or index into another folder')


def _check_request(k: int, rerank: int, seconds: tuple[float, float] | None, per_file: int | None) -> None:
    if not 1 <= k <= MOST_HITS or not 0 <= rerank <= MOST_HITS:
        raise ConfigError(f'k={k} must be from 1 to {MOST_HITS:,}, and rerank={rerank} from 0')
    if seconds is not None and not 0 <= seconds[0] <= seconds[1]:
        raise ConfigError(f'seconds={seconds[0]:g}, {seconds[1]:g} is no length: the shortest first')
    if per_file is not None and per_file < 1:
        raise ConfigError(f'per_file={per_file} must be at least 1')
