"""Videos from a moment on, as every browser plays them: decoded once, in order, each frame scaled as it comes."""
import os
from collections import OrderedDict
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from fractions import Fraction
from hashlib import blake2b
from pathlib import Path
from tempfile import mkstemp
from threading import BoundedSemaphore, Lock
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer, OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from mmcma.datasets.video.containers import choose_track, open_container
from mmcma.datasets.video.orientation import display_matrix, upright
from mmcma.utils.errors import MediaError

#: Seconds of a preview.
PREVIEW_SECONDS = 120
#: The shorter side of a preview, in pixels.
PREVIEW_SIDE = 360
#: Bytes of previews that are kept.
KEPT_BYTES = 256 * 2**20
#: Previews that are made at a time.
AT_ONCE = 8

_CLOCK = 90_000  # ticks a second
_SOUND_RATE = 48_000
_ROUNDING = 2e-3  # seconds; times of a gallery have three decimals
_STEPS_BACK = (0, 10, 60, float('inf'))  # seconds; where a container has no index, a seek lands too late
_LAST_FRAME = 1.0  # seconds that it may stand, for a moment after it


class Previews:
    """A folder of previews. One is handed on while it is made, and kept when it was made to its end.

    Args:
        folder: An empty one. ``KEPT_BYTES`` of what was asked for last stay in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._free, self._lock = BoundedSemaphore(AT_ONCE), Lock()
        self._kept: OrderedDict[Path, int] = OrderedDict()  # and their bytes, the one last asked for at the end

    def find(self, path: Path, at: float) -> Path | None:
        """The preview of a video from ``at`` seconds on, where it is kept."""
        preview = self._place(path, at)
        with self._lock:
            if preview not in self._kept:
                return None
            self._kept.move_to_end(preview)
        return preview

    def make(self, path: Path, at: float) -> Generator[bytes, None, None]:
        """The same, made now, piece by piece; closing the iterator ends the work.

        Raises:
            MediaError: It cannot be read.
            BlockingIOError: ``AT_ONCE`` others are being made.
        """
        if not self._free.acquire(blocking=False):
            raise BlockingIOError(f'{AT_ONCE} previews are being made; try again in a moment')
        handle, part = mkstemp(suffix='.part', dir=self.folder)
        try:
            with open(handle, 'wb') as file:
                for piece in convert(path, at):
                    file.write(piece)
                    yield piece
            self._keep(Path(part), self._place(path, at))
        finally:
            Path(part).unlink(missing_ok=True)
            self._free.release()

    def _place(self, path: Path, at: float) -> Path:
        stat = path.stat()
        key = f'{path} {stat.st_size} {stat.st_mtime_ns} {at:.3f}'
        return self.folder / f'{blake2b(os.fsencode(key), digest_size=16).hexdigest()}.mp4'

    def _keep(self, part: Path, preview: Path) -> None:
        with self._lock:
            self._kept[preview] = part.replace(preview).stat().st_size
            while sum(self._kept.values()) > KEPT_BYTES:
                self._kept.popitem(last=False)[0].unlink()


def convert(path: Path, at: float = 0) -> Iterator[bytes]:
    """``PREVIEW_SECONDS`` of a video from ``at`` seconds on, with its sound, as fragmented MP4 (H.264 and AAC).

    Memory does not grow with the video, and what is not asked for is not decoded.

    Raises:
        MediaError: It cannot be read.
    """
    pieces = _Pieces()
    with _opened(path) as source, av.open(pieces, 'w', 'mp4', options=dict(
            movflags='empty_moov+default_base_moof+frag_keyframe')) as target:
        encoder = _Encoder(source, target)
        for seconds, frame in _frames_from(source, at):
            if seconds - at < PREVIEW_SECONDS:
                encoder.write(seconds - at, frame)
                if pieces:
                    yield pieces.take()
            elif isinstance(frame, VideoFrame):
                break
        encoder.end()
    yield pieces.take()


def frame_from(path: Path, at: float, side: int) -> np.ndarray:
    """The frame of a video that is shown at ``at`` seconds, uint8 RGB ``(H, W, 3)``, its shorter side ``side`` at most.

    Raises:
        MediaError: It cannot be read, or ends before.
    """
    with _opened(path) as source:
        frame = next(frame for _, frame in _frames_from(source, at, sound=False))
        small = _shrunk(VideoReformatter(), frame, side, 'rgb24')
        return upright(small.to_ndarray(), display_matrix(frame))


class _Pieces(bytearray):
    """What a container writes to, and what it has written since it was last asked."""

    def write(self, data: bytes) -> int:
        self.extend(data)
        return len(data)

    def take(self) -> bytes:
        data = bytes(self)
        self.clear()
        return data


class _Encoder:
    """Encodes frames of a video and its sound for browsers; the first frame of the video says how large they are."""

    def __init__(self, source: InputContainer, target: OutputContainer) -> None:
        self._rate = round(min(max(choose_track(source).average_rate or 25, 1), 60))
        self._target = target
        self._scaler, self._recoder = VideoReformatter(), VideoReformatter()
        self._video: Any = None
        self._turn: bytes | None = None
        self._shown = -1
        self._sound: Any = None if _sound_track(source) is None else target.add_stream(
            'aac', _SOUND_RATE, layout='stereo')
        self._resampler = AudioResampler('fltp', 'stereo', _SOUND_RATE)
        self._early: list[tuple[float, AudioFrame]] = []  # what is heard before anything is seen

    def write(self, seconds: float, frame: VideoFrame | AudioFrame) -> None:
        """Adds a frame that is shown or heard at this moment of the preview."""
        if isinstance(frame, AudioFrame):
            self._early.append((seconds, frame))
        else:
            self._write_image(seconds, frame)
        while self._video is not None and self._early:
            self._write_sound(*self._early.pop(0))

    def _write_image(self, seconds: float, frame: VideoFrame) -> None:
        if self._video is None:  # asked once: a frame that was asked is in a cycle, and stays until that is collected
            self._turn = display_matrix(frame)
        image = _shrunk(self._scaler, frame, PREVIEW_SIDE, 'yuv420p' if self._turn is None else 'rgb24')
        if self._turn is not None:
            turned = np.ascontiguousarray(upright(image.to_ndarray(), self._turn))
            image = self._recoder.reformat(VideoFrame.from_ndarray(turned), format='yuv420p')
        if self._video is None:
            self._video = self._target.add_stream('libx264', self._rate, options=dict(
                preset='ultrafast', tune='zerolatency', crf='28', g=str(self._rate)))
            self._video.width, self._video.height, self._video.pix_fmt = image.width, image.height, 'yuv420p'
            self._video.codec_context.time_base = Fraction(1, _CLOCK)
        image.pts, image.time_base = round(max(seconds, 0) * _CLOCK), Fraction(1, _CLOCK)
        if image.pts > self._shown:  # a damaged file's times may go back
            self._shown = image.pts
            self._target.mux(self._video.encode(image))

    def _write_sound(self, seconds: float, frame: AudioFrame) -> None:
        frame.pts, frame.time_base = round(seconds * frame.sample_rate), Fraction(1, frame.sample_rate)
        for sound in self._resampler.resample(frame):
            self._target.mux(self._sound.encode(sound))

    def end(self) -> None:
        """Writes what the encoders hold back."""
        for stream in filter(None, (self._video, self._sound)):
            self._target.mux(stream.encode())


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    """A video file; what cannot be done with it is a MediaError."""
    try:
        with open_container(str(path)) as container:
            yield container
    except (OSError, ValueError) as error:  # errors of PyAV are among the two
        raise MediaError(f'{path}: cannot be shown ({error})') from error


def _sound_track(container: InputContainer):
    return next((track for track in container.streams.audio if track.codec_context is not None), None)


def _frames_from(container: InputContainer, at: float,
                 sound: bool = True) -> Iterator[tuple[float, Any]]:
    """Times and frames of the video and its sound from ``at`` seconds on, in the file's order, without damaged ones.

    Raises:
        ValueError: There is no video, or no frame of it.
    """
    track: Any = choose_track(container)
    track.codec_context.thread_type, track.codec_context.thread_count = 'AUTO', min(4, os.cpu_count() or 1)
    heard = _sound_track(container) if sound else None
    begin, period = float((track.start_time or 0) * track.time_base), 1 / float(track.average_rate or 25)
    if at > 0:
        _seek(container, track, at + begin)
    found, last = False, None
    for frame in _decoded(container, track, *([] if heard is None else [heard])):
        if frame.pts is None and last is not None and isinstance(frame, VideoFrame):
            seconds = last[0] + period  # in MPEG program streams not every frame has a time
        else:
            seconds = float((frame.dts if frame.pts is None else frame.pts) * frame.time_base) - begin
        if seconds >= at - _ROUNDING:
            yield seconds, frame
            found |= isinstance(frame, VideoFrame)
        if isinstance(frame, VideoFrame):
            last = seconds, frame
    if not found:
        if last is None or last[0] + _LAST_FRAME < at:
            raise ValueError(f'no frame at {at:g} s' + ('' if last is None else f', it ends at {last[0]:.1f} s'))
        yield last


def _seek(container: InputContainer, track: Any, seconds: float) -> None:
    """Goes to a key frame that is shown no later than this, or to the beginning."""
    for back in _STEPS_BACK:
        place = int(max(seconds - back, 0) / track.time_base)
        try:
            container.seek(place, stream=track)
            packet = next((packet for packet in container.demux(track) if packet.is_keyframe), None)
            shown = None if packet is None else packet.dts if packet.pts is None else packet.pts
            if shown is not None and shown * track.time_base <= seconds or not place:
                container.seek(place, stream=track)
                return
        except av.FFmpegError:  # it has no index
            pass


def _decoded(container: InputContainer, *tracks) -> Iterator[Any]:
    for packet in container.demux(*tracks):
        try:
            yield from packet.decode()
        except av.FFmpegError:  # a player goes on too
            pass


def _shrunk(scaler: VideoReformatter, frame: VideoFrame, side: int, pixels: str) -> VideoFrame:
    """The frame with a shorter side of ``side`` at most; even sides, which H.264 wants in 4:2:0."""
    factor = min(1, side / min(frame.width, frame.height))
    width, height = (max(2, round(length * factor / 2) * 2) for length in (frame.width, frame.height))
    return scaler.reformat(frame, width, height, pixels)
