"""Videos as browsers play them: the file itself, or a smaller one made of it."""
from collections.abc import Iterator
from fractions import Fraction
from hashlib import blake2b
from pathlib import Path
from threading import Lock

import av
import numpy as np

from mmcma.datasets.video.reader import VideoReader, open_video
from mmcma.utils.errors import MediaError

#: Seconds of a video that are converted, from its beginning.
PREVIEW_SECONDS = 120
#: The shorter side of a preview, in pixels.
PREVIEW_SIDE = 360
#: Previews that are kept.
KEPT = 64

_CONTAINERS, _CODECS = ('.mp4', '.mov', '.webm'), ('h264', 'vp8', 'vp9', 'av1')
_FRAMES_AT_ONCE = 64
_CLOCK = 90_000  # ticks a second


def plays_in_browsers(path: Path) -> bool:
    """Whether today's browsers play a video as it is.

    Raises:
        MediaError: It cannot be opened.
    """
    try:
        with av.open(str(path)) as container:
            context = container.streams.video[0].codec_context
            return (path.suffix.lower() in _CONTAINERS and context.name in _CODECS
                    and context.pix_fmt in ('yuv420p', 'yuvj420p'))
    except (OSError, ValueError, IndexError) as error:  # errors of PyAV are among the first two
        raise MediaError(f'{path}: cannot be read ({error})') from error


class Previews:
    """A folder of H.264 files of the beginnings of videos, without sound, each made when it is first asked for.

    Args:
        folder: An empty one. The latest ``KEPT`` stay in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = Lock()  # converting takes all cores

    def of(self, path: Path) -> Path:
        """The preview of a video.

        Raises:
            MediaError: It cannot be read.
        """
        stat = path.stat()
        name = blake2b(f'{path} {stat.st_size} {stat.st_mtime_ns}'.encode(), digest_size=16).hexdigest()
        preview = self.folder / f'{name}.mp4'
        with self._lock:
            if not preview.exists():
                part = preview.with_suffix('.part')
                convert(path, part)
                part.rename(preview)
                for old in sorted(self.folder.glob('*.mp4'), key=lambda file: file.stat().st_mtime_ns)[:-KEPT]:
                    old.unlink()
        return preview


def convert(path: Path, preview: Path) -> None:
    """Writes the beginning of a video as H.264 in MP4, which all browsers play.

    Raises:
        MediaError: It cannot be read.
    """
    with open_video(path) as video, av.open(str(preview), 'w', 'mp4', options=dict(movflags='faststart')) as container:
        stream = container.add_stream('libx264', round(min(max(video.fps, 1), 60)), options=dict(preset='ultrafast'))
        stream.height, stream.width = _even_size(*video.get_batch([0])[0].shape[:2])
        stream.pix_fmt, stream.codec_context.time_base = 'yuv420p', Fraction(1, _CLOCK)
        for seconds, image in _beginning(video):
            frame = av.VideoFrame.from_ndarray(image, format='rgb24').reformat(stream.width, stream.height)
            frame.pts, frame.time_base = round(seconds * _CLOCK), Fraction(1, _CLOCK)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _even_size(*sides: int) -> list[int]:
    """Height and width of a preview: even, which H.264 wants in this pixel format."""
    shrunk = min(1, PREVIEW_SIDE / min(sides))
    return [max(2, round(side * shrunk / 2) * 2) for side in sides]


def _beginning(video: VideoReader) -> Iterator[tuple[float, np.ndarray]]:
    """Times and RGB frames ``(H, W, 3)``."""
    stop = int(np.searchsorted(video.timestamps, PREVIEW_SECONDS))
    for first in range(0, stop, _FRAMES_AT_ONCE):
        places = range(first, min(first + _FRAMES_AT_ONCE, stop))
        yield from zip(video.timestamps[first:places.stop].tolist(), video.get_batch(places))
