"""How fast clips become what the model reads on one core: from videos, and from a frame cache.

First both must give the same frames. A second of a core is one of processor time, all threads together: what else the
machine does matters little to it.
"""
import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from mmengine.dataset import Compose

from benchmarks.core import agreeing, race_costs, save
from mmcma.datasets.annotations.media_folder import VIDEO_SUFFIXES
from mmcma.datasets.video.cache import FrameCache
from mmcma.registry import TRANSFORMS
from mmcma.utils.errors import DataError

STEPS = [dict(type='LoadVideoFrames', num_frames=12, fps=1.0), dict(type='ResizeCrop', size=224)]


def data(args: argparse.Namespace) -> None:
    """Checks, measures, prints and saves."""
    clips = list_clips(args.clips)
    with tempfile.TemporaryDirectory() as folder:
        fill_cache(clips, Path(folder))
        cached = [dict(type='LoadCachedFrames', cache=folder, steps=STEPS)]
        pipelines = {'videos': (pipeline, clips, STEPS), 'cache': (pipeline, clips, cached)}
        with agreeing(pipelines, tolerance=0) as measures:
            found = race_costs(measures, rounds=args.rounds, by='processor_seconds', title=f'{len(clips)} clips')
    for name, own in found.items():
        own['clips_per_second'] = len(clips) / own['processor_seconds']['median']
        print(f'{name}: {own["clips_per_second"]:.4g} clips a second and core')
    save(args, 'pipelines', dict(clips=len(clips), ways=found))


def list_clips(folder: Path) -> list[dict]:
    """Every video below a folder as an item of a test set.

    Raises:
        DataError: When there is none.
    """
    paths = sorted(path for path in folder.rglob('*') if path.suffix.lower() in VIDEO_SUFFIXES)
    if not paths:
        raise DataError(f"--clips {folder}: no videos ({' '.join(VIDEO_SUFFIXES)})")
    return [dict(id=str(path.relative_to(folder)), path=str(path), captions=['a video'], item_index=index)
            for index, path in enumerate(paths)]


def fill_cache(clips: list[dict], folder: Path) -> None:
    """Writes the frames of all clips to a cache in ``folder``."""
    prepare = Compose([TRANSFORMS.build(step) for step in STEPS])
    cache = FrameCache.create(folder, STEPS, quality=None, config='')
    for clip in clips:
        made = prepare(dict(clip))
        cache.write(clip['id'], made['frames'][made['frame_mask']])


def pipeline(clips: list[dict], steps: list[dict]) -> Callable[[], np.ndarray]:
    """Loading all clips by the ``steps`` of a config and packing them, on one thread; gives some pixels of each."""
    torch.set_num_threads(1)
    prepare = Compose([TRANSFORMS.build(step) for step in (*steps, dict(type='PackRetrievalInputs'))])
    return lambda: np.stack([prepare(dict(clip))['inputs'][..., ::7, ::7].numpy() for clip in clips])
