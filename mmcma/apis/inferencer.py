"""Retrieval among texts, videos and images from Python."""
import json
import logging
from collections.abc import Iterator, Sequence
from functools import partial
from os import PathLike

import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.logging import print_log
from torch import Tensor
from torch.utils.data import DataLoader

from mmcma.apis.media import Clip, MediaPaths, frame_pipeline, is_media, moment_clips, preparation, readable
from mmcma.apis.results import EncodedBatch, Match, MomentMatch
from mmcma.checkpoints.identity import backbone_identity
from mmcma.datasets.annotations.texts import fault_of
from mmcma.datasets.video.cache import frame_settings
from mmcma.datasets.video.moments import AUTO, check_plan
from mmcma.models import CrossModalRetriever
from mmcma.models.backbones.tower import fingerprint
from mmcma.models.similarities.base import unit
from mmcma.models.trained_state import trained_state
from mmcma.structures import Features
from mmcma.utils.digests import tensor_digests, text_digest
from mmcma.utils.errors import ConfigError, DataError, MediaError, short
from mmcma.utils.slices import blocks
from mmcma.utils.spans import join_overlapping

PathType = str | PathLike
_TILE = 512


class RetrievalInferencer:
    """Encodes texts, videos and images with a model, and ranks them.

    What it does is that of the adapter in force: ``with model.adapter('msrvtt'):``
    works with the weights, the similarity and the frames of that one. Frames
    are read as the config's test set reads them; images with ``LoadImage``,
    and videos, where the config is one of images, with the defaults of
    ``LoadVideoFrames``. Features are on the CPU, those that a test computes.

    Args:
        model: From :func:`init_model`.
        batch_size: Texts, or visual items, in one pass of the model.
        num_workers: Processes that read files; 0 reads them in this one.

    Raises:
        ConfigError: The model has no config, or one whose test set does not load files.
    """

    def __init__(self, model: CrossModalRetriever, *, batch_size: int = 16, num_workers: int = 0) -> None:
        if model.cfg is None:
            raise ConfigError('the model does not know its config, which says how frames are read: build it with '
                              'mmcma.apis.init_model.')
        if batch_size < 1 or num_workers < 0:
            raise ConfigError(f'batch_size={batch_size} must be at least 1, num_workers={num_workers} at least 0.')
        frame_pipeline(model.cfg)
        self.model = model.eval()
        self.batch_size = batch_size
        self.num_workers = num_workers

    @torch.no_grad()
    def encode_text(self, texts: Sequence[str]) -> Features:
        """Embeddings of N texts before L2 normalisation; one that is too long for the model is cut, with a warning.

        Returns:
            ``pooled`` float32 ``(N, D)``; where the similarity compares words, also ``tokens`` ``(N, L, D)``
            and ``mask`` bool ``(N, L)``.

        Raises:
            DataError: There is no text, an empty one, or one with a NUL or half a surrogate pair.
        """
        texts = _listed(texts, 'texts')
        for number, text in enumerate(texts):
            if not isinstance(text, str) or not text.strip():
                raise DataError(f'text {number} is {short(text)}: write a few words.')
            if (fault := fault_of(text)) is not None:
                raise DataError(f'text {number}, {short(text)}, holds {fault}.')
        self._warn_of_cuts(texts)
        return Features.join([self.model.encode_text(texts[rows]).to('cpu')
                              for rows in blocks(len(texts), self.batch_size)])

    def encode_visual(self, paths: Sequence[PathType], on_error: str = 'raise') -> Features:
        """Embeddings of videos, images and folders of frames before L2 normalisation.

        Args:
            paths: N files or folders of frames.
            on_error: A file that cannot be read is raised (``'raise'``), or left out with a warning
                (``'skip'``): then there are fewer rows than paths. :meth:`visual_batches` tells which they are.

        Returns:
            ``tokens`` float32 ``(N, T, D)``, ``pooled`` ``(N, D)``, their mean over valid frames, and
            ``mask`` bool ``(N, T)``, False on padding.

        Raises:
            MediaError: A file cannot be read, or none of them can.
            DataError: There is no path.
        """
        if on_error not in ('raise', 'skip'):
            raise ConfigError(f"on_error={on_error!r} must be 'raise' or 'skip'.")
        return self._encode_readable(paths, on_error)[1]

    @torch.no_grad()
    def visual_batches(self, paths: Sequence[PathType]) -> Iterator[EncodedBatch]:
        """Embeddings batch by batch, as they come, with what could not be read; for many paths.

        Raises:
            DataError: There is no path.
        """
        files = [str(path) for path in _listed(paths, 'paths')]
        loader = DataLoader(MediaPaths(files, frame_pipeline(self.model.cfg)), self.batch_size,
                            num_workers=self.num_workers, collate_fn=list)
        for rows, outcomes in zip(blocks(len(files), self.batch_size), loader):
            failures = {path: outcome for path, outcome in zip(files[rows], outcomes)
                        if isinstance(outcome, MediaError)}
            clips = [(outcome.frames, outcome.mask) for outcome in outcomes if isinstance(outcome, Clip)]
            yield EncodedBatch([path for path in files[rows] if path not in failures],
                               self._encode_clips(clips) if clips else None, failures)

    @torch.no_grad()
    def encode_frames(self, clips: Sequence[np.ndarray]) -> Features:
        """Embeddings of clips that are decoded already, before L2 normalisation.

        Frames are resized and cropped as those of files are. All of them are used: give as many, and as far
        apart, as the config's ``LoadVideoFrames`` takes.

        Args:
            clips: N arrays, uint8 RGB ``(T, H, W, 3)``, of any T, H and W; an image has T = 1.

        Returns:
            The same as :meth:`encode_visual`, T the most frames of a clip.

        Raises:
            DataError: There is no clip, or one is no such array.
        """
        clips, prepare = _listed(clips, 'clips'), preparation(frame_pipeline(self.model.cfg))
        return Features.join([self._encode_clips([_decoded(clip, prepare) for clip in clips[rows]])
                       for rows in blocks(len(clips), self.batch_size)])

    @torch.no_grad()
    def similarity(self, text: Features, visual: Features) -> Tensor:
        """The model's own scores float32 ``(N, M)`` of N texts and M visual items, on the CPU.

        They are cosines, or logits where the config's similarity gives those; higher is better.
        """
        device = self.model.data_preprocessor.device
        rows = []
        for texts in blocks(len(text.pooled), _TILE):
            near = text.rows(texts).to(device)
            rows.append(torch.cat([self.model.similarity(near, visual.rows(items).to(device)).cpu()
                                   for items in blocks(len(visual.pooled), _TILE)], dim=1))
        return torch.cat(rows)

    @staticmethod
    def visual_similarity(first: Features, second: Features) -> Tensor:
        """Cosines float32 ``(N, M)`` of the pooled embeddings of N and of M visual items."""
        return unit(first.pooled) @ unit(second.pooled).T

    def rank(self, query: PathType, gallery: Sequence[PathType], k: int = 10) -> list[Match]:
        """The k best of a gallery for one query: text to visual, visual to text or visual to visual.

        A ``Path``, or a string that ends as the name of a video or image does, is a file; any other string
        is a text. A folder of frames is given as a ``Path``.

        Args:
            query: A text or a file.
            gallery: Texts or files, not both. Files that cannot be read are left out, with a warning. To
                search the same gallery again, keep what ``encode_visual`` gives, or use ``mmcma index``.
            k: At most this many.

        Returns:
            Best first.

        Raises:
            ConfigError: ``k`` is below 1.
            DataError: Query or gallery is empty, the gallery is mixed, or both are texts.
            MediaError: The query cannot be read, or nothing in the gallery can.
        """
        if k < 1:
            raise ConfigError(f'k={k} must be at least 1.')
        gallery = _listed(gallery, 'gallery')
        kinds = {is_media(item) for item in gallery}
        if len(kinds) > 1:
            raise DataError('the gallery has both texts and files: rank them apart.')
        if not is_media(query) and kinds == {False}:
            raise DataError(f'the query {query!r} and the gallery are texts: one of them must be files. A folder of '
                            'frames is given as a pathlib.Path.')
        if kinds == {False}:
            scores = self.similarity(self.encode_text(gallery), self.encode_visual([query]))[:, 0]
        else:
            gallery, visual = self._encode_readable(gallery, 'skip')
            scores = (self.visual_similarity(self.encode_visual([query]), visual) if is_media(query) else
                      self.similarity(self.encode_text([str(query)]), visual))[0]
        best = scores.argsort(descending=True, stable=True)[:k].tolist()
        return [Match(gallery[index], scores[index].item()) for index in best]

    @torch.no_grad()
    def moments(self, query: PathType, path: PathType, k: int = 5, *, cut: str | float = AUTO,
                key_frames: bool = False) -> list[MomentMatch]:
        """The k moments of one video that fit a query best, of which no two overlap; its file is read once.

        Args:
            query: A text or a file, as for :meth:`rank`.
            path: The video. Moments of it that cannot be read are left out, with a warning.
            k: At most this many.
            cut: Seconds of a window, ``'auto'``, ``'shots'`` or ``'whole'``: see
                :func:`mmcma.datasets.video.moments.check_plan`.
            key_frames: Decodes key frames alone, which is many times as fast.

        Raises:
            ConfigError: ``k`` or ``cut`` has no such value.
            DataError: The query is empty.
            MediaError: Query or video cannot be read.
        """
        if k < 1:
            raise ConfigError(f'k={k} must be at least 1.')
        clips = moment_clips(path, frame_pipeline(self.model.cfg), check_plan(cut), key_frames=key_frames)
        score = partial(self.visual_similarity, self.encode_visual([query])) if is_media(query) else \
            partial(self.similarity, self.encode_text([str(query)]))
        found = [MomentMatch(str(path), *span, value) for spans, batch in readable(clips, self.batch_size)
                 for span, value in zip(spans, score(self._encode_clips(
                     [(clip.frames, clip.mask) for clip in batch]))[0].tolist())]
        return join_overlapping(sorted(found, key=lambda match: -match.score))[:k]

    @property
    def fingerprint(self) -> str:
        """32 hex characters that name all that features and scores depend on.

        These are the backbone's and the trained tensors, the method, the similarity, and how texts are cut
        and frames are read. It is that of the adapter in force.
        """
        model, config = self.model, self.model.cfg
        towers = dict(vision=model.vision_backbone, text=model.text_backbone)
        preprocessor = model.data_preprocessor
        content = dict(
            backbone=backbone_identity(model)['fingerprint'] or fingerprint(towers),
            trained=tensor_digests(trained_state(model).items()), precision=model.precision,
            method=config.model.get('neck') if model.neck is not None and model.neck.enabled else None,
            similarity=config.model.head.similarity, words=preprocessor.limit, frames=frame_settings(
                frame_pipeline(config)), normalisation=[preprocessor.mean.tolist(), preprocessor.std.tolist()])
        return text_digest(json.dumps(content, sort_keys=True, default=str))

    def _encode_readable(self, paths: Sequence[PathType], on_error: str) -> tuple[list[str], Features]:
        """The paths that could be read, and their features."""
        read, batches, failures = [], [], {}
        for batch in self.visual_batches(paths):
            failures.update(batch.failures)
            for error in batch.failures.values() if on_error == 'raise' else ():
                raise error
            read += batch.paths
            batches += [] if batch.features is None else [batch.features]
        for error in failures.values():
            print_log(f'left out: {error}', logger='current', level=logging.WARNING)
        if not batches:
            raise MediaError(f'none of the {len(failures)} files can be read; the first: '
                             f'{next(iter(failures.values()))}')
        return read, Features.join(batches)

    def _encode_clips(self, clips: list[tuple[Tensor, Tensor]]) -> Features:
        """Frames and masks; clips of the same number of frames pass through the model together."""
        parts, order = [], []
        for length in sorted({len(frames) for frames, _ in clips}):
            places = [place for place, clip in enumerate(clips) if len(clip[0]) == length]
            frames, masks = (torch.stack(of) for of in zip(*(clips[place] for place in places)))
            parts.append(self.model.encode_visual(frames, masks).to('cpu'))
            order += places
        return Features.join(parts).rows(torch.tensor(order).argsort())

    def _warn_of_cuts(self, texts: list[str]) -> None:
        preprocessor = self.model.data_preprocessor
        for text, count in zip(texts, preprocessor.token_counts(texts)):
            if count > preprocessor.limit:
                print_log(f'the text {text[:40]!r}... has {count} tokens and is cut to {preprocessor.limit}, the '
                          'most that the model reads.', logger='current', level=logging.WARNING)


def _listed(entries: Sequence, what: str) -> list:
    if isinstance(entries, (str, PathLike)):
        raise DataError(f'{what} must be a list, even of one; got {entries!r}.')
    if not len(entries):
        raise DataError(f'there are no {what}.')
    return list(entries)


def _decoded(frames: np.ndarray, prepare: Compose) -> tuple[Tensor, Tensor]:
    """Frames as the model takes them, and their mask."""
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or not frames.size:
        raise DataError(f'a clip is {frames.dtype} of shape {frames.shape}: it must be uint8 RGB (T, H, W, 3).')
    results = prepare(dict(frames=frames, frame_mask=np.ones(len(frames), dtype=bool)))
    return torch.from_numpy(results['frames']), torch.from_numpy(results['frame_mask'])
