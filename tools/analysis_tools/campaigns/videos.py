"""Videos of several codecs in which bits are flipped, wherever they may stand, against the frames of the whole ones.

Right is a reading of which no frame differs from the undamaged one at its time by more than 1 of 255 on average.
HEVC is written with picture hashes: without them, as in VP8, FFmpeg's decoder notices hardly any damage.
"""
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from campaigns import Outcome, Verdict
from mmcma.datasets import open_video
from mmcma.datasets.video.sampling import frame_at
from mmcma.utils.errors import MediaError, cause
from mmcma.utils.timeouts import run_with_timeout

#: Bits flipped in a trial; frames read of a clip; frames that it has; the most that a frame may differ on average.
FLIPS, WANTED, COUNT, TOLERANCE = 20, 8, 60, 1.0
#: By file name: the encoder and its options.
CLIPS = {
    'h264.mp4': ('libx264', {}), 'h264.avi': ('libx264', {}), 'h264.ts': ('libx264', {}),
    'baseline.mp4': ('libx264', {'profile': 'baseline'}), 'open.mkv': ('libx264', {'x264-params': 'open-gop=1'}),
    'hevc.mp4': ('libx265', {'x265-params': 'log-level=none:pools=1:hash=1'}),
    'vp9.webm': ('libvpx-vp9', {'cpu-used': '8'}), 'vp9.mp4': ('libvpx-vp9', {'cpu-used': '8'}),
    'av1.webm': ('libsvtav1', {'preset': '10'}), 'av1.mp4': ('libsvtav1', {'preset': '10'}),
    'mpeg4.avi': ('mpeg4', {}), 'mpeg4.mp4': ('mpeg4', {}), 'mpeg2.ts': ('mpeg2video', {})}


class Clip(NamedTuple):
    """A whole file, its frames uint8 ``(COUNT, H, W, 3)``, and their times in seconds."""
    path: Path
    data: bytes
    frames: np.ndarray
    times: np.ndarray


def trials(count: int, seed: int, folder: Path) -> Iterator[Outcome]:
    generator = random.Random(seed)
    clips = [whole(write(folder / name, *CLIPS[name])) for name in CLIPS if CLIPS[name][0] in av.codecs_available]
    for trial in range(count):
        clip = clips[trial % len(clips)]
        damaged = bytearray(clip.data)
        for place in generator.sample(range(8 * len(damaged)), FLIPS):
            damaged[place // 8] ^= 1 << place % 8
        path = folder / f'damaged-{clip.path.name}'
        path.write_bytes(damaged)
        verdict, detail = read(clip, path)
        yield Outcome(verdict, f'trial {trial}, {FLIPS} bits of {clip.path.name} flipped: {detail}')


def read(clip: Clip, path: Path) -> tuple[Verdict, str]:
    """What the damaged file gives."""
    def frames() -> tuple[np.ndarray, np.ndarray]:
        with open_video(path) as video:
            indices = np.linspace(0, video.num_frames - 1, WANTED).round().astype(int)
            # By number, as long as none is missing: the times may be what was damaged.
            places = indices if video.num_frames == COUNT else frame_at(clip.times, video.timestamps[indices])
            return places, video.get_batch(indices)
    try:
        places, found = run_with_timeout(60, frames, str(path))
    except MediaError as error:
        return Verdict.REFUSED, str(error)
    except Exception as error:
        return Verdict.CRASHED, cause(error)
    if found.shape[1:] != clip.frames.shape[1:]:
        return Verdict.WRONG, f'frames of {found.shape[2]}x{found.shape[1]} pixels'
    worst = np.abs(found.astype(int) - clip.frames[places]).mean(axis=(1, 2, 3)).max()
    return (Verdict.RIGHT if worst <= TOLERANCE else Verdict.WRONG), f'a frame differs by {worst:.1f} of 255 on average'


def whole(path: Path) -> Clip:
    """A clip that nothing happened to."""
    with open_video(path) as video:
        return Clip(path, path.read_bytes(), video.get_batch(range(COUNT)), video.timestamps)


def write(path: Path, codec: str, options: dict[str, str]) -> Path:
    """Noise that moves over colours that move, a key frame each 20 frames: frames build on each other."""
    noise = np.random.default_rng(0).integers(0, 60, (96, 128 + 2 * COUNT))
    x, y = np.arange(128), np.arange(96)[:, None]
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=15, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size, stream.bit_rate = 128, 96, 'yuv420p', 20, 400_000
        for number in range(COUNT):
            red, green = 128 + 100 * np.sin((x + 3 * number) / 17), 128 + 100 * np.cos((y - 2 * number) / 23)
            blue = noise[:, 2 * number:2 * number + 128] + np.hypot(x - 64, y - 48).clip(0, 190)
            image = np.stack(np.broadcast_arrays(red, green, blue), axis=-1).clip(0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format='rgb24')))
        container.mux(stream.encode())
    return path
