"""From an id to frames that were decoded before."""
from collections.abc import Sequence

import numpy as np

from mmcma.datasets.transforms.base import BaseTransform
from mmcma.datasets.video.cache import FrameCache, frame_settings
from mmcma.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadCachedFrames(BaseTransform):
    """Read the frames that ``tools/dataset_converters/cache_frames.py`` stored; no decoder is needed.

    It takes the place of the steps up to ``ResizeCrop``, which a config may give it, so that they stay the
    ones who say what the model sees::

        pipeline[:2] = [dict(type='LoadCachedFrames', cache='data/msrvtt/frames', steps=pipeline[:2])]

    Required Keys: ``id``.

    Added Keys: ``frames``, uint8 ``(T, 3, size, size)``, zeros after the last frame of a short
    clip; ``frame_mask``, bool ``(T,)``, False there.

    Args:
        cache: Folder of the cache.
        steps: The steps whose frames are expected; None takes what is there.

    Raises:
        DataError: When the folder holds no cache.
        ConfigError: When the steps would give other frames.
    """

    def __init__(self, *, cache: str, steps: Sequence[dict] | None = None) -> None:
        self.cache = FrameCache(cache)
        if steps is not None:
            self.cache.check(frame_settings(steps))

    def transform(self, results: dict) -> dict:
        shown, length = self.cache.read(results['id']), self.cache.manifest.num_frames
        results['frames'] = np.zeros((length, *shown.shape[1:]), dtype=np.uint8)
        results['frames'][:len(shown)] = shown
        results['frame_mask'] = np.arange(length) < len(shown)
        return results

    def __repr__(self) -> str:
        return f'LoadCachedFrames(cache={str(self.cache.folder)!r})'
