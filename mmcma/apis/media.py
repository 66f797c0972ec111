"""Videos, images and folders of frames, from paths to what a vision tower takes."""
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.logging import print_log
from torch import Tensor
from torch.utils.data import Dataset

from mmcma.datasets.annotations.media_folder import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from mmcma.datasets.video.moments import cut, scan_parts
from mmcma.registry import TRANSFORMS
from mmcma.utils.errors import ConfigError, MediaError
from mmcma.utils.spans import Span
from mmcma.utils.timeouts import run_with_timeout

_LOADERS = ('LoadVideoFrames', 'LoadImage')


class Clip(NamedTuple):
    """What was read of one path.

    Attributes:
        frames: uint8 ``(T, 3, H, W)``; an image has T = 1.
        mask: bool ``(T,)``, False on padding.
        times: float64 ``(n,)``, seconds at which the n frames that are no padding are shown.
        duration: Seconds of the file; 0 for an image.
    """
    frames: Tensor
    mask: Tensor
    times: np.ndarray
    duration: float


class ReadMoment(NamedTuple):
    """A moment that was read of a file.

    Attributes:
        span: Seconds.
        moments: How many the file has.
        clip: What a model takes of it, or why it cannot be read.
    """
    span: Span
    moments: int
    clip: Clip | MediaError


class MediaPaths(Dataset):
    """Paths as clips; a file that cannot be read is a :class:`MediaError`, given and not raised.

    Args:
        paths: Videos, images (by suffix) and folders of frames.
        pipeline: From :func:`frame_pipeline`.
    """

    def __init__(self, paths: Sequence[str | PathLike], pipeline: Sequence[dict]) -> None:
        self.paths = [str(path) for path in paths]
        self._load_video = TRANSFORMS.build(video_step(pipeline))
        self._load_image = TRANSFORMS.build(dict(type='LoadImage'))
        self._prepare = preparation(pipeline)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Clip | MediaError:
        path = self.paths[index]
        try:
            results = self._prepare((self._load_image if is_image(path) else self._load_video)(dict(path=path)))
        except MediaError as error:
            return error
        return Clip(torch.from_numpy(results['frames']), torch.from_numpy(results['frame_mask']),
                    results['frame_times'], results['duration'])


def moment_clips(path: str | PathLike, pipeline: Sequence[dict], plan: str | Sequence[Span], *,
                 key_frames: bool = False) -> Iterator[ReadMoment]:
    """The moments of a video or image in one pass over the file, each with what a model takes of it.

    The same frames as those that the pipeline reads for the moment's start and end. Steps after loading get
    each frame as a clip of one, as soon as it is decoded.

    Args:
        path: The file, or a folder of frames.
        pipeline: From :func:`frame_pipeline`.
        plan: How it is cut, from :func:`~mmcma.datasets.video.moments.check_plan`, or when its moments are.
        key_frames: Whether only key frames are decoded.

    Yields:
        Each moment once, as soon as it is read; one that damage reaches with an error that names file and time.

    Raises:
        MediaError: Nothing of the file can be read, or it makes no progress.
    """
    if is_image(path):
        yield ReadMoment(Span(0.0, 0.0), 1, MediaPaths([path], pipeline)[0])
        return
    prepare, step = preparation(pipeline), video_step(pipeline)
    if key_frames and step.get('sampling') == 'clip4clip':  # its seconds are of frames at a rate
        step['sampling'] = 'uniform'
    load = TRANSFORMS.build(step)

    def one_frame(frame: np.ndarray) -> np.ndarray:
        return prepare(dict(frames=frame[None], frame_mask=np.ones(1, dtype=bool)))['frames'][0]

    def limited(call: Callable[[], Any]) -> Any:
        return run_with_timeout(load.timeout, call, str(path))

    with limited(lambda: load.open(str(path), key_frames)) as video:
        spans = limited(lambda: cut(video, plan)) if isinstance(plan, str) else plan
        parts = [load.choose(video, *span) for span in spans]
        clips = scan_parts(video, parts, one_frame)
        while (found := limited(lambda: next(clips, None))) is not None:
            number, clip = found
            if not isinstance(clip, Exception):
                frames, mask = map(torch.from_numpy, load.pad(np.stack(clip)))
                clip = Clip(frames, mask, video.timestamps[parts[number]], video.duration)
            yield ReadMoment(spans[number], len(spans), clip)


def readable(moments: Iterable[ReadMoment], size: int) -> Iterator[tuple[list[Span], list[Clip]]]:
    """When moments are, and their clips, so many at a time; those that cannot be read are left out with a warning.

    Raises:
        MediaError: None of them can be read.
    """
    moments, some, failure = iter(moments), False, None
    while batch := list(islice(moments, size)):
        read = [(span, clip) for span, _, clip in batch if isinstance(clip, Clip)]
        for _, _, clip in batch:
            if isinstance(clip, MediaError):
                failure = clip
                print_log(f'left out: {clip}', logger='current', level=logging.WARNING)
        if read:
            some = True
            yield [span for span, _ in read], [clip for _, clip in read]
    if failure is not None and not some:
        raise failure


def is_image(path: str | PathLike) -> bool:
    """Whether the suffix is that of an image; a folder is one of frames, whatever it is called."""
    path = Path(path)
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.is_dir()


def is_media(query: str | PathLike) -> bool:
    """Whether a query is a path and no text: a ``Path``, or a string with the suffix of a video or image."""
    return isinstance(query, PathLike) or Path(query).suffix.lower() in (*VIDEO_SUFFIXES, *IMAGE_SUFFIXES)


def frame_pipeline(config: Config) -> list[dict]:
    """The steps of a config's test set that make frames: one that loads, and those after it but the packing.

    Raises:
        ConfigError: The config's test set does not load files.
    """
    dataset = config.get('test_dataloader', {}).get('dataset', {})
    while 'pipeline' not in dataset and 'dataset' in dataset:
        dataset = dataset['dataset']
    steps = [dict(step) for step in dataset.get('pipeline', ())]
    if steps and steps[0].get('type') == 'LoadCachedFrames':
        steps[:1] = [dict(step) for step in steps[0].get('steps') or ()]
    steps = [step for step in steps if step['type'] != 'PackRetrievalInputs']
    if not steps or steps[0]['type'] not in _LOADERS:
        raise ConfigError(f'{config.filename or "config"}: test_dataloader.dataset.pipeline must begin with one of '
                          f'{list(_LOADERS)} to read files with; it has {[step["type"] for step in steps]}.')
    return steps


def video_step(pipeline: Sequence[dict]) -> dict:
    """The step that reads videos: the pipeline's own, or ``LoadVideoFrames`` as it is where that reads images."""
    return dict(pipeline[0] if pipeline[0]['type'] == 'LoadVideoFrames' else dict(type='LoadVideoFrames'))


def preparation(pipeline: Sequence[dict]) -> Compose:
    """The steps after loading, as one: from decoded frames to those that a vision tower takes."""
    return Compose([TRANSFORMS.build(dict(step)) for step in pipeline[1:]])
