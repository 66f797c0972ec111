"""From a path to frames."""
from typing import Optional

import numpy as np
from mmcv.transforms import BaseTransform

from mmcma.datasets.frame_sampling import sample_frames
from mmcma.datasets.video_reader import check_backend, open_video, read_image
from mmcma.errors import ConfigError, MediaError
from mmcma.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadVideoFrames(BaseTransform):
    """Decode the frames that the model will see, and no others.

    Required Keys: ``path``, optionally ``start`` and ``end`` in seconds.

    Added Keys: ``frames``, uint8 RGB ``(num_frames, H, W, 3)``, zeros after the
    last frame of a short clip; ``frame_mask``, bool ``(num_frames,)``, False there.

    Args:
        num_frames: Frames of a sample.
        fps: Frames to take per second, thinned out evenly where they are more
            than ``num_frames``; None spreads ``num_frames`` over the clip.
        backend: See :func:`mmcma.datasets.open_video`.
        folder_fps: Pictures per second at which folders of frames were written.
    """

    def __init__(self, *, num_frames: int = 12, fps: Optional[float] = 1.0, backend: str = 'auto',
                 folder_fps: float = 1.0) -> None:
        if not isinstance(num_frames, int) or num_frames < 1:
            raise ConfigError(f'LoadVideoFrames: num_frames={num_frames!r} must be a whole number from 1 up')
        for name, value in (('fps', fps), ('folder_fps', folder_fps)):
            if not (name == 'fps' and value is None) and not 0 < value < float('inf'):
                raise ConfigError(f'LoadVideoFrames: {name}={value!r} must be above 0 frames per second')
        check_backend(backend)
        self.num_frames, self.fps, self.backend, self.folder_fps = num_frames, fps, backend, folder_fps

    def transform(self, results: dict) -> dict:
        with open_video(results['path'], self.backend, self.folder_fps) as video:
            try:
                indices = sample_frames(video.num_frames, video.fps, self.num_frames, self.fps,
                                        results.get('start'), results.get('end'))
            except ValueError as error:
                raise MediaError(f"{results['path']}: {error}") from error
            shown = video.get_batch(indices)  # (n, H, W, 3), n <= num_frames
        frames = np.zeros((self.num_frames, *shown.shape[1:]), dtype=np.uint8)
        frames[:len(shown)] = shown
        results['frames'] = frames
        results['frame_mask'] = np.arange(self.num_frames) < len(shown)
        return results

    def __repr__(self) -> str:
        return (f'LoadVideoFrames(num_frames={self.num_frames}, fps={self.fps}, backend={self.backend!r}, '
                f'folder_fps={self.folder_fps})')


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read a picture as a clip of one frame.

    Required Keys: ``path``.

    Added Keys: ``frames``, uint8 RGB ``(1, H, W, 3)``; ``frame_mask``, bool ``(1,)``, True.
    """

    def transform(self, results: dict) -> dict:
        results['frames'] = read_image(results['path'])[None]
        results['frame_mask'] = np.ones(1, dtype=bool)
        return results

    def __repr__(self) -> str:
        return 'LoadImage()'
