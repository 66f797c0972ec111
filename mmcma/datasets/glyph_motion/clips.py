"""Renders GlyphMotion: scenes to frames, frames to .mp4 files, and a whole recipe to a folder, atomically."""
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from filelock import FileLock
from PIL import Image
from rich.progress import track

from mmcma.datasets.glyph_motion.backdrops import draw_backdrop
from mmcma.datasets.glyph_motion.captions import write_captions
from mmcma.datasets.glyph_motion.events import Actor, look_at
from mmcma.datasets.glyph_motion.glyphs import COLOURS, font_file, glyph_mask, paint
from mmcma.datasets.glyph_motion.scenes import SPLITS, Scene, plan_scenes
from mmcma.utils.errors import DataError

#: Raise it with every change that alters scenes, captions or frames.
GENERATOR_VERSION = 1

_MASTER_SIZE = 128
# Every frame is coded on its own with a fixed quantiser, so it decodes to the same pixels wherever it stands:
# the clips of a mirrored pair are exact reversals of each other, with no trace of the coding order.
_ENCODING = dict(preset='ultrafast', g='1', qp='20')


@dataclass(frozen=True)
class Recipe:
    """All that decides what is rendered.

    Attributes:
        train, val, test: Clips in each split.
        seed: Fixes scenes, captions and textures.
        size: Side of the square frames in pixels; even.
        num_frames: Frames of a clip. With 22, a uniform sample of 8 takes every third one from the
            first to the last, so that the sample of a reversed clip is the reversed sample.
        fps: Frames per second.
    """
    train: int = 2000
    val: int = 200
    test: int = 400
    seed: int = 0
    size: int = 64
    num_frames: int = 22
    fps: int = 11

    @property
    def checksum(self) -> str:
        """16 hex digits over the parameters, the generator's version and the font."""
        font = font_file()
        parameters = json.dumps([asdict(self), GENERATOR_VERSION, _ENCODING], sort_keys=True)
        return sha256(parameters.encode() + font.read_bytes()).hexdigest()[:16]


def render_frames(scene: Scene, recipe: Recipe) -> np.ndarray:
    """The frames of a scene, uint8 ``(num_frames, size, size, 3)``."""
    backdrop = draw_backdrop(scene.backdrop, recipe.size)
    frames = np.repeat(backdrop[None], recipe.num_frames, axis=0)
    for number, canvas in enumerate(frames):
        for actor in scene.actors:
            _paint_actor(canvas, actor, number, recipe)
    return frames


def _paint_actor(canvas: np.ndarray, actor: Actor, number: int, recipe: Recipe) -> None:
    look = look_at(actor, number, recipe.num_frames)
    mask = _turned_mask(actor.glyph, round(look.size * recipe.size), look.angle % 360)
    if look.cover < 1:
        mask = (mask * look.cover).astype(np.uint8)
    paint(canvas, mask, COLOURS[look.colour], (look.x * recipe.size, look.y * recipe.size))


@lru_cache(maxsize=4096)
def _turned_mask(glyph: str, size: int, angle: int) -> np.ndarray:
    """Like ``glyph_mask``, but large enough to keep the corners of a turned glyph."""
    if angle == 0:
        return glyph_mask(glyph, size)
    # A square of 1.42 times the side holds the glyph at every angle.
    margin = round(0.21 * _MASTER_SIZE)
    wide = Image.fromarray(np.pad(glyph_mask(glyph, _MASTER_SIZE), margin))
    side = max(1, round(size * wide.width / _MASTER_SIZE))
    turned = wide.rotate(angle, Image.Resampling.BILINEAR)
    return np.asarray(turned.resize((side, side), Image.Resampling.BOX))


def write_clip(path: Path, frames: np.ndarray, fps: int) -> None:
    """Writes uint8 ``(T, H, W, 3)`` RGB frames as an H.264 .mp4 file."""
    import av  # here, so that whoever reads from a cache needs no codecs
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=fps, options=_ENCODING)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = 'yuv420p'
        stream.codec_context.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format='rgb24')))
        container.mux(stream.encode())


def ensure_rendered(recipe: Recipe, data_root: str) -> Path:
    """The folder with the recipe's clips; renders it first where it is missing.

    The folder appears under its name in one step, when it is complete. Of
    several processes one renders and the others wait for it; what a killed
    one left behind is removed.

    Raises:
        DataError: ``data_root`` cannot be written.
    """
    folder = Path(data_root) / recipe.checksum
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f'.{folder.name}.lock'):
            if not folder.is_dir():
                _render_folder(recipe, folder)
    except OSError as error:
        raise DataError(f'data_root={str(data_root)!r} of GlyphMotion cannot be written ({error}): '
                        'name a writable folder with 100 MB to spare') from error
    return folder


def _render_folder(recipe: Recipe, folder: Path) -> None:
    prefix = f'.{folder.name}.partial-'
    for abandoned in folder.parent.glob(f'{prefix}*'):  # ours is the lock, so nobody works in there
        shutil.rmtree(abandoned)
    partial = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        scenes = [(split, number, scene) for split in SPLITS
                  for number, scene in enumerate(plan_scenes(split, getattr(recipe, split), recipe.seed))]
        items: dict[str, list[dict]] = {split: [] for split in SPLITS}
        for split in SPLITS:
            (partial / split).mkdir()
        for split, number, scene in track(scenes, f'Rendering GlyphMotion into {folder}'):
            item = describe(scene, split, number)
            write_clip(partial / item['path'], render_frames(scene, recipe), recipe.fps)
            items[split].append(item)
        for split in SPLITS:
            lines = ',\n'.join(json.dumps(item) for item in items[split])
            (partial / f'{split}.json').write_text(f'[\n{lines}\n]\n', encoding='utf-8')
        partial.chmod(0o755)  # mkdtemp's folders are private
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def describe(scene: Scene, split: str, number: int) -> dict:
    """The annotation of a clip: id, path, captions, caption_kinds, scene."""
    captions = write_captions(scene)
    return dict(id=f'{split}-{number:04d}', path=f'{split}/{number:04d}.mp4', captions=captions,
                caption_kinds=[scene.kind] * len(captions), scene=asdict(scene))
