"""Frames out of videos: PyAV, decord and folders of pictures behind one protocol.

PyAV comes first and decord falls in where it fails: on one thread they are
equally fast, PyAV reads more (AV1, GIF, partly damaged files), and decord
does not always return the frames that were asked for (see ``DecordReader``).
"""
import os
import re
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Iterator, Optional, Sequence

import numpy as np

from mmcma.datasets.media_folder import IMAGE_SUFFIXES
from mmcma.errors import ConfigError, MediaError, did_you_mean


class VideoReader(ABC):
    """Random access to the frames of one video; close it, or use it in a ``with``.

    Attributes:
        num_frames (int): At least 1.
        fps (float): Mean number of frames per second.
    """
    num_frames: int
    fps: float

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.num_frames / self.fps

    @abstractmethod
    def get_batch(self, indices: Sequence[int]) -> np.ndarray:
        """Frames ``indices`` (each in ``[0, num_frames)``): uint8 RGB ``(n, H, W, 3)``, upright."""

    @abstractmethod
    def close(self) -> None:
        """Stop decoding and let go of the file. May be called twice."""

    def __enter__(self) -> 'VideoReader':
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.close()


class PyAVReader(VideoReader):
    """FFmpeg through PyAV, on one thread: a data loader runs many readers side by side.

    Frames are known by their timestamps, which a pass over the packets (no
    decoding) collects, so a frame that does not decode never shifts the
    others. AVI and bare streams have no timestamps to rely on (an AVI packet
    carries its place in decoding order): there frames are counted from the beginning.
    """

    def __init__(self, path: str) -> None:
        import av
        self._av = av
        self._container = av.open(path)
        # One for the reader: frame.to_ndarray(format=...) makes a scaler anew for every frame.
        self._reformatter = av.video.reformatter.VideoReformatter()
        try:
            self._index()
        except BaseException:
            self.close()
            raise

    def _index(self) -> None:
        if not self._container.streams.video:
            raise ValueError('no video stream')
        self._stream = self._container.streams.video[0]
        self._stream.codec_context.thread_count = 1
        packets = [packet for packet in self._container.demux(self._stream)
                   if packet.size and not packet.is_discard]
        timed = self._container.format.name != 'avi' and all(packet.pts is not None for packet in packets)
        times = sorted({packet.pts for packet in packets}) if timed else [packet.dts for packet in packets]
        self.num_frames = len(times)
        self.fps = float(self._stream.average_rate or 1)
        if len(times) > 1 and None not in times:  # AVI headers give nonsense rates
            self.fps = (len(times) - 1) / float((times[-1] - times[0]) * self._stream.time_base)
        self._times = times if timed else None

    def get_batch(self, indices: Sequence[int]) -> np.ndarray:
        # What a frame is known by: its timestamp, or its number.
        keys = [self._times[index] if self._times else int(index) for index in indices]
        first = self._times[0] if self._times else 0
        frames = self._decode(set(keys), seek_to=min(keys) if self._times else first)
        missing = set(keys) - frames.keys()
        if missing and self._times:  # perhaps a seek that landed too late: read from the beginning
            frames.update(self._decode(missing, seek_to=first))
        missing = [index for index, key in zip(indices, keys) if key not in frames]
        if missing:
            raise ValueError(f'frame {missing[0]} of {self.num_frames} does not decode')
        return np.stack([frames[key] for key in keys])

    def _decode(self, wanted: set[int], seek_to: int) -> dict[int, np.ndarray]:
        found: dict[int, np.ndarray] = {}
        for number, frame in enumerate(self._frames_from(seek_to)):
            key = frame.pts if self._times else number
            if key in wanted and not frame.is_corrupt:
                # FFmpeg's libraries leave turning the picture to their user.
                rgb = self._reformatter.reformat(frame, format='rgb24').to_ndarray()
                found[key] = np.rot90(rgb, k=frame.rotation // 90)
                if len(found) == len(wanted):
                    break
        return found

    def _frames_from(self, time: int) -> Iterator[Any]:
        self._container.seek(time, stream=self._stream)
        for packet in self._container.demux(self._stream):
            try:
                yield from packet.decode()
            except self._av.FFmpegError:
                continue  # the frames of this packet will be missed

    def close(self) -> None:
        self._container.close()


class DecordReader(VideoReader):
    """decord on one thread.

    Version 0.6.0 was seen to return wrong frames when it skips: in AVI files
    with H.264 or MPEG video, and in other files with MPEG-2, MPEG-4 or HEVC and
    B-frames. H.264, VP8 and VP9 in ``.mp4``, ``.mkv`` and the like came out right.
    """

    def __init__(self, path: str) -> None:
        import decord
        self._reader = decord.VideoReader(path, num_threads=1)
        self.num_frames = len(self._reader)
        self.fps = self._reader.get_avg_fps()

    def get_batch(self, indices: Sequence[int]) -> np.ndarray:
        return self._reader.get_batch([int(index) for index in indices]).asnumpy()

    def close(self) -> None:
        self._reader = None  # decord has no close(); its threads end with the object


class FolderReader(VideoReader):
    """A folder of pictures, taken in the order of the numbers in their names."""

    def __init__(self, path: str, fps: float) -> None:
        self._paths = sorted((entry.path for entry in os.scandir(path)
                              if os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES), key=_by_numbers)
        if not self._paths:
            raise ValueError(f"no pictures ({' '.join(IMAGE_SUFFIXES)}) in the folder")
        self.num_frames = len(self._paths)
        self.fps = fps

    def get_batch(self, indices: Sequence[int]) -> np.ndarray:
        return np.stack([read_image(self._paths[index]) for index in indices])

    def close(self) -> None:
        pass


class _FallbackReader(VideoReader):
    """The first backend that reads the file; a frame it cannot decode hands the file to the next one."""

    def __init__(self, path: str, backends: dict[str, Any]) -> None:
        self._path = path
        self._waiting = dict(backends)
        self._failures: list[str] = []
        self._reader: Optional[VideoReader] = None
        self._open_next()
        self.num_frames, self.fps = self._reader.num_frames, self._reader.fps

    def _open_next(self) -> None:
        while self._waiting:
            self._name = next(iter(self._waiting))
            try:
                self._reader = self._waiting.pop(self._name)(self._path)
                if self._reader.num_frames > 0 and 0 < self._reader.fps < float('inf'):
                    return
                raise ValueError(f'{self._reader.num_frames} frames at {self._reader.fps} per second')
            except Exception as error:  # each library has errors of its own
                self._give_up(error)
        raise MediaError(f"{self._path}: cannot be read ({'; '.join(self._failures)})")

    def _give_up(self, error: Exception) -> None:
        self._failures.append(f'{self._name}: {_reason(error)}')
        self.close()

    def get_batch(self, indices: Sequence[int]) -> np.ndarray:
        while True:
            # Backends may count the frames of a damaged file differently: go by the place in time.
            ratio = self._reader.num_frames / self.num_frames
            try:
                return self._reader.get_batch([int(index * ratio) for index in indices])
            except Exception as error:
                self._give_up(error)
                self._open_next()

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


#: In the order in which ``'auto'`` tries them.
BACKENDS = dict(pyav=PyAVReader, decord=DecordReader)


def check_backend(backend: str) -> None:
    """Raises: ConfigError: When ``backend`` is none of ``'auto'``, ``'pyav'``, ``'decord'``."""
    known = ['auto', *BACKENDS]
    if backend not in known:
        raise ConfigError(f'backend {backend!r}: choose one of {known}.{did_you_mean(str(backend), known)}')


def open_video(path: str | Path, backend: str = 'auto', folder_fps: float = 1.0) -> VideoReader:
    """Open a video file, or a folder of its frames.

    Args:
        path: The file or folder.
        backend: ``'pyav'``, ``'decord'``, or ``'auto'``: PyAV, and decord where PyAV fails, on
            opening or later. Folders are read as pictures whatever it says.
        folder_fps: Pictures per second at which a folder was written.

    Raises:
        MediaError: From here or from ``get_batch``, naming the file and what each backend said.
    """
    check_backend(backend)
    path = str(path)
    if os.path.isdir(path):
        return _FallbackReader(path, dict(folder=lambda folder: FolderReader(folder, folder_fps)))
    if not os.path.exists(path):
        raise MediaError(f'{path}: no such file')
    if not os.path.getsize(path):
        raise MediaError(f'{path}: the file is empty (0 bytes)')
    return _FallbackReader(path, BACKENDS if backend == 'auto' else {backend: BACKENDS[backend]})


def read_image(path: str | Path) -> np.ndarray:
    """One picture as uint8 RGB ``(H, W, 3)``, turned upright by its EXIF mark.

    Raises:
        MediaError: When it is missing or damaged.
    """
    from PIL import Image, ImageOps
    try:
        with Image.open(path) as image:
            return np.array(ImageOps.exif_transpose(image).convert('RGB'))
    except FileNotFoundError:
        raise MediaError(f'{path}: no such file') from None
    except Exception as error:  # Pillow's plugins raise OSError, SyntaxError, struct.error and others
        raise MediaError(f'{path}: not a readable picture ({_reason(error)})') from error


def _by_numbers(path: str) -> list:
    """Sort key that puts ``frame10.jpg`` after ``frame9.jpg``."""
    parts = re.split(r'(\d+)', os.path.basename(path))
    return [(int(part), '') if part.isdigit() else (0, part) for part in parts]


def _reason(error: Exception) -> str:
    """One line without the source lines and stack trace that decord sends along."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r'^(\[(Errno )?[\d:-]+\] (/\S+:\d+: )?)+', '', lines[0])
