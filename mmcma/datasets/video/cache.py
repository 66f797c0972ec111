"""Frames that were decoded once: a folder with a file for each item, and how they were made."""
import hashlib
import inspect
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
from PIL import Image

from mmcma.registry import TRANSFORMS
from mmcma.utils.errors import ConfigError, DataError, MediaError
from mmcma.utils.files import write_atomic

#: Settings on which the frames do not depend.
NO_MATTER = ('timeout',)
#: Bytes of a file name that an id may take; file systems allow 255 in all.
LONGEST_NAME = 200
#: Pixels of a JPEG image's side.
LONGEST_SIDE = 65500


def frame_settings(steps: Sequence[dict]) -> dict[str, Any]:
    """All that decides what frames the steps of a pipeline make, defaults and the steps' versions too.

    ``{'steps': 'LoadVideoFrames, ResizeCrop', 'LoadVideoFrames.num_frames': 12, ..., 'ResizeCrop.size': 224}``

    Raises:
        ConfigError: When a step has no such option.
    """
    names, settings = [], {}
    for step in steps:
        options = {key: value for key, value in step.items() if key != 'type'}
        transform = TRANSFORMS.get(step['type'])
        if transform is None:
            raise ConfigError(f"frame cache: there is no transform {step['type']!r}")
        try:
            call = inspect.signature(transform).bind(**options)
        except TypeError as error:
            raise ConfigError(f'{transform.__name__}: {error}') from error
        call.apply_defaults()
        names.append(transform.__name__)
        settings.update({f'{transform.__name__}.{key}': value for key, value in call.arguments.items()
                         if key not in NO_MATTER})
        if hasattr(transform, 'version'):
            settings[f'{transform.__name__}.version'] = transform.version
    return {'steps': ', '.join(names), **settings}


class CacheManifest(NamedTuple):
    """How the frames of a cache were made.

    Attributes:
        settings: :func:`frame_settings` of the pipeline.
        num_frames: Frames of a sample, padding included.
        size: Side of a frame, pixels.
        quality: JPEG quality; None where frames are stored as they are.
        config: Path of the config that it was made from.
    """
    settings: dict[str, Any]
    num_frames: int
    size: int
    quality: int | None
    config: str


class FrameCache:
    """A folder of frames by item id.

    Each item is one file, written and renamed: there is nothing to lock, to
    index or to repair, and whoever stops writing can go on. It holds the
    shown frames only, without padding: as an array of numpy, or as one JPEG image of
    all frames below each other (4:4:4, no colour is thinned out).

    Args:
        folder: One that :meth:`create` made.

    Raises:
        DataError: When it holds no cache.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            self.manifest = CacheManifest(**json.loads((self.folder / 'manifest.json').read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f'{folder}: no frame cache (manifest.json: {error}); make it with python '
                            f'tools/dataset_converters/cache_frames.py CONFIG --out {folder}') from error

    @classmethod
    def create(cls, folder: str | Path, steps: Sequence[dict], *, quality: int | None, config: str) -> 'FrameCache':
        """A new cache, or the one that is there, if it was made in the same way.

        Raises:
            ConfigError: When it was made in another way, or cannot be made so.
        """
        settings = frame_settings(steps)
        if settings.get('LoadVideoFrames.sampling') == 'random':
            raise ConfigError("LoadVideoFrames: sampling='random' draws other frames each time and a cache always "
                              "gives the same; set sampling='uniform'")
        manifest = CacheManifest(settings, settings.get('LoadVideoFrames.num_frames', 1),
                                 settings['ResizeCrop.size'], quality, config)
        if quality and manifest.num_frames * manifest.size > LONGEST_SIDE:
            raise ConfigError(f'{manifest.num_frames} frames of {manifest.size} pixels are more than a JPEG image '
                              f'can hold ({LONGEST_SIDE} pixels); leave out --jpeg')
        if os.path.exists(Path(folder, 'manifest.json')):
            cache = cls(folder)
            cache.check(settings)
            if cache.manifest.quality != quality:
                raise ConfigError(f'{folder} was written with JPEG quality {cache.manifest.quality} and not {quality} '
                                  '(None: lossless); choose another --out')
            return cache
        write_atomic(json.dumps(manifest._asdict(), indent=1).encode(), Path(folder, 'manifest.json'))
        return cls(folder)

    def check(self, settings: dict[str, Any]) -> None:
        """Refuses settings that make other frames than those in here, with a ConfigError."""
        held = self.manifest.settings
        for key in {**held, **settings}:
            asked, there = settings.get(key), held.get(key)
            if asked != there:
                raise ConfigError(f'{self.folder}: the config asks for {key}={asked!r}, the frames in the cache were '
                                  f'made with {there!r}; change the config, or fill a cache in another folder with '
                                  'tools/dataset_converters/cache_frames.py')

    def path(self, item_id: str) -> Path:
        """The file of an item, whatever its id holds."""
        name = quote(item_id, safe='')
        if len(name) > LONGEST_NAME:
            name = f'{name[:LONGEST_NAME - 41]}-{hashlib.sha1(item_id.encode()).hexdigest()}'
        return self.folder / 'frames' / f"{name}.{'jpg' if self.manifest.quality else 'npy'}"

    def write(self, item_id: str, frames: np.ndarray) -> None:
        """Stores uint8 ``(n, 3, size, size)`` and reads it back.

        Raises:
            OSError: When what was read back is something else.
        """
        file, path = io.BytesIO(), self.path(item_id)
        if self.manifest.quality:
            column = frames.transpose(0, 2, 3, 1).reshape(-1, self.manifest.size, 3)
            Image.fromarray(column).save(file, 'JPEG', quality=self.manifest.quality, subsampling=0)
        else:
            np.save(file, frames)
        write_atomic(file.getvalue(), path)
        back = self.read(item_id)
        if back.shape != frames.shape or not self.manifest.quality and (back != frames).any():
            path.unlink()
            raise OSError(f'{path}: what was read back is not what was written')

    def read(self, item_id: str) -> np.ndarray:
        """The frames of an item, uint8 ``(n, 3, size, size)``, ``1 <= n <= num_frames``.

        Raises:
            MediaError: When there are none, or the file is damaged.
        """
        path = self.path(item_id)
        again = f'python tools/dataset_converters/cache_frames.py {self.manifest.config} --out {self.folder}'
        try:
            if not self.manifest.quality:
                return np.load(path)
            with Image.open(path, formats=('JPEG',)) as image:
                column = np.asarray(image)  # (n size, size, 3)
        except FileNotFoundError:
            raise MediaError(f'frame cache {self.folder}: no frames of item {item_id!r}; see failures.jsonl there, '
                             f'or run {again}') from None
        except (OSError, ValueError) as error:
            raise MediaError(f'{path}: damaged ({error}); delete it and run {again}') from error
        size = self.manifest.size
        return np.ascontiguousarray(column.reshape(-1, size, size, 3).transpose(0, 3, 1, 2))
