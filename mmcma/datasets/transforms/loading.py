"""From a path to frames."""
from importlib.util import find_spec

import numpy as np
import torch
from torch.utils.data import get_worker_info

from mmcma.datasets.transforms.base import BaseTransform
from mmcma.datasets.video.reader import VideoReader, check_backend, open_video
from mmcma.datasets.video.sampling import THINNING, sample_frames
from mmcma.registry import TRANSFORMS
from mmcma.utils.errors import MediaError, argument_error, did_you_mean
from mmcma.utils.images import read_image
from mmcma.utils.timeouts import run_with_timeout


@TRANSFORMS.register_module()
class LoadVideoFrames(BaseTransform):
    """Decode the frames that the model will see, and no others.

    Required Keys: ``path``, optionally ``start`` and ``end`` in seconds, or ``end_at_most`` for an end that the file
    may come before.

    Added Keys: ``frames``, uint8 RGB ``(num_frames, H, W, 3)``, zeros after the
    last frame of a short clip; ``frame_mask``, bool ``(num_frames,)``, False there;
    ``frame_times``, float64 ``(n,)``, seconds at which the n frames that are no padding
    are shown; ``duration``, seconds of the whole file.

    Args:
        num_frames: Frames of a sample.
        fps: Frames to take per second; None takes all of the clip.
        sampling: How they are thinned out where they are more than ``num_frames``: ``'uniform'``,
            ``'head'`` or ``'tail'`` (CLIP4Clip's ``slice_framepos`` 2, 0 and 1), or ``'random'``,
            one from each of ``num_frames`` equal segments, for training, others in each epoch; the run's seed
            fixes them. ``'clip4clip'`` is ``'uniform'`` with CLIP4Clip's seconds, of ``int(rate)`` frames of the file.
        backend: ``'pyav'``, ``'decord'`` or ``'auto'``, as for :func:`mmcma.datasets.open_video`.
        folder_fps: Images per second at which folders of frames were written.
        timeout: Seconds after which a file is given up, so that a decoder that hangs does
            not stop the job; None waits for ever. Commands with a ``--timeout`` go by that alone.
    """

    def __init__(self, *, num_frames: int = 12, fps: float | None = 1.0, sampling: str = 'uniform',
                 backend: str = 'auto', folder_fps: float = 1.0, timeout: float | None = 60.0) -> None:
        if not isinstance(num_frames, int) or num_frames < 1:
            raise argument_error(self, 'num_frames', num_frames, 'must be a whole number from 1 up.')
        for name, value, unit in (('fps', fps, 'frames per second'), ('timeout', timeout, 'seconds'),
                                  ('folder_fps', folder_fps, 'frames per second')):
            if not (name != 'folder_fps' if value is None else 0 < value < float('inf')):
                raise argument_error(self, name, value, f'must be above 0 {unit}.')
        if sampling not in THINNING:
            raise argument_error(self, 'sampling', sampling, f'is none of {list(THINNING)}.'
                                 f'{did_you_mean(str(sampling), list(THINNING))}')
        if sampling == 'clip4clip' and fps is not None and fps != int(fps):
            raise argument_error(self, 'fps', fps, "must be whole with sampling='clip4clip', or None.")
        check_backend(backend)
        if backend == 'decord' and find_spec('decord') is None:
            raise argument_error(self, 'backend', backend, "needs decord, which has wheels for Linux and Windows on "
                                 "x86-64 alone: pip install 'mmcma[decord]', or choose 'pyav'.")
        self.num_frames, self.fps, self.sampling, self.timeout = num_frames, fps, sampling, timeout
        self.backend, self.folder_fps = backend, folder_fps
        # Seed and epoch, in memory that workers share: they may outlast an epoch. Negative before a training's first.
        self._epoch = torch.full((2,), -1).share_memory_() if sampling == 'random' else None

    def begin_epoch(self, seed: int, epoch: int) -> None:
        """Makes random frames those of an epoch, here and in workers, whatever was drawn before."""
        if self._epoch is not None:
            self._epoch.copy_(torch.tensor([seed, epoch]))

    def transform(self, results: dict) -> dict:
        rng = None if self._epoch is None else _generator(self._epoch.tolist(), results.get('sample_idx'))
        shown, times, duration = run_with_timeout(self.timeout, lambda: self._read(results, rng), results['path'])
        results['frames'], results['frame_mask'] = self.pad(shown)
        results['frame_times'], results['duration'] = times, duration
        return results

    def pad(self, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Frames ``(n, ...)`` as ``(num_frames, ...)``, zeros at the end, and the mask ``(num_frames,)``."""
        frames = np.zeros((self.num_frames, *shown.shape[1:]), dtype=np.uint8)
        frames[:len(shown)] = shown
        return frames, np.arange(self.num_frames) < len(shown)

    def open(self, path: str, key_frames: bool = False) -> VideoReader:
        """A file, as these options say; ``key_frames`` as for :func:`mmcma.datasets.open_video`."""
        return open_video(path, self.backend, self.folder_fps, key_frames)

    def choose(self, video: VideoReader, start: float | None, end: float | None,
               rng: np.random.Generator | None = None) -> np.ndarray:
        """The frames that the model sees of a part of an open video, int64 ``(n,)``, ``1 <= n <= num_frames``.

        Raises:
            ValueError: When ``start`` and ``end`` are no part of it.
        """
        return sample_frames(video.timestamps, video.duration, self.num_frames, fps=self.fps, sampling=self.sampling,
                             start=start, end=end, rng=rng)

    def _read(self, results: dict, rng: np.random.Generator | None) -> tuple[np.ndarray, np.ndarray, float]:
        """Frames uint8 ``(n, H, W, 3)``, their times ``(n,)``, and the duration of the file."""
        with self.open(results['path']) as video:
            end = results.get('end')
            if end is None and 'end_at_most' in results:
                end = min(results['end_at_most'], video.duration)
            try:
                indices = self.choose(video, results.get('start'), end, rng)
            except ValueError as error:
                raise MediaError(f"{results['path']}: {error}") from error
            return video.get_batch(indices), video.timestamps[indices], float(video.duration)

    def __repr__(self) -> str:
        return (f'LoadVideoFrames(num_frames={self.num_frames}, fps={self.fps}, sampling={self.sampling!r}, '
                f'backend={self.backend!r}, folder_fps={self.folder_fps}, timeout={self.timeout})')


def _generator(seed_and_epoch: list[int], sample: int | None) -> np.random.Generator:
    """One by seed, epoch and sample; outside of a training's epochs by numpy's global seed and the worker's.

    A worker may be started anew for each pass, with numpy seeded alike each time; PyTorch draws the seed it gives it.
    """
    if min(seed_and_epoch) >= 0 and sample is not None:
        return np.random.default_rng([*seed_and_epoch, sample])
    worker = get_worker_info()
    return np.random.default_rng([np.random.randint(2**31), worker.seed if worker else 0])


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read an image as a clip of one frame.

    Required Keys: ``path``.

    Added Keys: ``frames``, uint8 RGB ``(1, H, W, 3)``; ``frame_mask``, bool ``(1,)``, True;
    ``frame_times``, float64 ``(1,)``, and ``duration``, both 0.
    """

    def transform(self, results: dict) -> dict:
        results['frames'] = read_image(results['path'])[None]
        results['frame_mask'] = np.ones(1, dtype=bool)
        results['frame_times'], results['duration'] = np.zeros(1), 0.0
        return results

    def __repr__(self) -> str:
        return 'LoadImage()'
