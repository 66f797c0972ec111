"""Readers of the frames of a video: PyAV, decord, and folders of images, behind one protocol."""
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import dropwhile
from typing import Any, NamedTuple

import numpy as np

from mmcma.datasets.annotations.media_folder import IMAGE_SUFFIXES
from mmcma.datasets.video.h264_packets import parameters_of_start
from mmcma.utils.images import read_image


class VideoReader(ABC):
    """Random access to the frames of one video; close it, or use it in a ``with``.

    Attributes:
        timestamps (np.ndarray): Seconds from the first frame to each frame, float64 ``(num_frames,)``,
            strictly rising from 0. They are what is sampled by: a rate need not be constant.
        duration (float): Seconds until the last frame ends.
    """
    timestamps: np.ndarray
    duration: float

    @property
    def num_frames(self) -> int:
        """At least 1."""
        return len(self.timestamps)

    @property
    def fps(self) -> float:
        """Mean number of frames per second."""
        return self.num_frames / self.duration

    @abstractmethod
    def get_batch(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Frames ``indices`` (each in ``[0, num_frames)``): uint8 RGB ``(n, H, W, 3)``, upright."""

    @abstractmethod
    def close(self) -> None:
        """Stop decoding and let go of the file. May be called twice."""

    def __enter__(self) -> 'VideoReader':
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.close()


class _Start(NamedTuple):
    """A place where decoding can begin.

    Attributes:
        seek_to: Place in the file, in the stream's time base.
        packet: What the first packet to decode is known by; None for the one that a seek finds.
        number: Frames before it.
    """
    seek_to: int
    packet: int | None = None
    number: int = 0


class _Packet(NamedTuple):
    """A packet's times in the stream's time base, and the first packet of its group with its number."""
    pts: int | None
    dts: int | None
    duration: int | None
    first: tuple[int, '_Packet'] | None = None


class PyAVReader(VideoReader):
    """FFmpeg through PyAV, on one thread: a data loader runs many readers side by side.

    Frames are known by their timestamps, which a pass over the packets (no
    decoding) collects, so a frame that does not decode never shifts the
    others. AVI and bare streams have no timestamps to rely on (an AVI packet
    carries its place in decoding order): there frames are counted.

    H.264 is decoded from the IDR picture before each wanted frame, and what
    lies between is skipped: by the standard nothing refers across an IDR
    image. With other codecs, and where a file's parameters change on the way,
    all is decoded from the key frame before the first wanted frame or, where
    frames are counted, from the beginning.
    """

    def __init__(self, path: str) -> None:
        import av
        self._av, self._path = av, path
        # One for the reader: frame.to_ndarray(format=...) makes a scaler anew for every frame.
        self._reformatter = av.video.reformatter.VideoReformatter()
        self._open()
        try:
            self._index()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        self._container = self._av.open(self._path)
        if not self._container.streams.video:
            self.close()
            raise ValueError('no video stream')
        self._stream = self._container.streams.video[0]
        self._stream.codec_context.thread_count = 1

    def _index(self) -> None:
        packets, same_parameters = self._list_packets()
        if not packets:
            raise ValueError('no frames in the video stream')
        shown = [packet.pts for packet in packets if packet.pts is not None]
        decoded = [packet.dts for packet in packets if packet.dts is not None]
        timed = self._container.format.name != 'avi' and len(shown) == len(packets)
        self._times = sorted(set(shown)) if timed else None
        ticks, tick = self._times or decoded, float(self._stream.time_base or 1)
        self._starts = self._find_starts(packets) if same_parameters else {}
        if not timed and len(decoded) < len(packets):
            ticks, tick = list(range(len(packets))), 1 / float(self._stream.average_rate or 1)
        self.timestamps = (np.array(ticks, dtype=np.float64) - ticks[0]) * tick
        last = packets[shown.index(max(shown))] if timed else packets[-1]
        period = self.timestamps[-1] / (len(ticks) - 1) if len(ticks) > 1 else \
            1 / float(self._stream.average_rate or 1)
        # A container does not always know how long the last frame stands.
        self.duration = float(self.timestamps[-1] + max(period, (last.duration or 0) * tick))

    def _list_packets(self) -> tuple[list[_Packet], bool]:
        """The packets of frames that are shown, and whether the parameters of all groups are the same."""
        codec, first, changes = self._stream.codec_context, None, False
        packets: list[_Packet] = []
        parameters = set()
        for packet in self._container.demux(self._stream):
            if not packet.size:
                continue
            entry = _Packet(packet.pts, packet.dts, packet.duration)
            if codec.name == 'h264' and packet.is_keyframe:
                found = parameters_of_start(bytes(packet), codec.extradata)
                if found is not None:
                    first = len(packets), entry
                    parameters.add(found)
            changes |= packet.has_sidedata('new_extradata')
            if not packet.is_discard and not self._is_hidden(packet):
                packets.append(entry._replace(first=first))
        return packets, len(parameters) == 1 and not changes

    def _is_hidden(self, packet: Any) -> bool:
        # VP8's packets of pictures that are only referred to: no show_frame bit (RFC 6386, section 9.1).
        return self._stream.codec_context.name == 'vp8' and not memoryview(packet)[0] & 0x10

    def _mark(self, packet: Any) -> int | None:
        return packet.pts if self._times else packet.dts

    def _find_starts(self, packets: list[_Packet]) -> dict[int, _Start]:
        """Where the decoding of each frame begins, by what the frame is known by: its timestamp, or its number."""
        marks = [mark for packet in packets if (mark := self._mark(packet)) is not None]
        if len(set(marks)) < len(packets):
            return {}
        starts = {}
        for key, packet in zip(marks if self._times else range(len(marks)), packets):
            if packet.first is not None:
                number, first = packet.first
                if (seek_to := first.pts if first.dts is None else first.dts) is not None:
                    starts[key] = _Start(seek_to, self._mark(first), number)
        return starts

    def get_batch(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        keys = [self._times[index] if self._times else int(index) for index in indices]
        groups: dict[_Start | None, set[int]] = {}
        for key in keys:
            groups.setdefault(self._starts.get(key), set()).add(key)
        frames: dict[int, np.ndarray] = {}
        for start, wanted in groups.items():
            if start is not None:
                frames.update(self._decode(wanted, start))
            elif self._times:
                frames.update(self._decode(wanted, _Start(min(wanted))))
        missing = set(keys) - frames.keys()
        if missing:  # a seek may land too late
            frames.update(self._decode(missing))
        damaged = [index for index, key in zip(indices, keys) if key not in frames]
        if damaged:
            raise ValueError(f'frame {damaged[0]} of {self.num_frames} is damaged')
        return np.stack([frames[key] for key in keys])

    def _decode(self, wanted: set[int], start: _Start | None = None) -> dict[int, np.ndarray]:
        found: dict[int, np.ndarray] = {}
        packets = given = 0
        for packet, frames in self._intact_frames(start):
            packets, given = packets + bool(packet.size), given + len(frames)
            for number, frame in frames:
                key = frame.pts if self._times else number
                if key in wanted:
                    # FFmpeg's libraries leave turning the image to their user.
                    rgb = self._reformatter.reformat(frame, format='rgb24', threads=1).to_ndarray()
                    found[key] = np.rot90(rgb, k=frame.rotation // 90)
            if len(found) == len(wanted):
                break
        if start is not None and not self._times:  # the count is right only if each packet gave one frame
            held = self._stream.codec_context.decode() if found.keys() == wanted and packet.size else []
            if found.keys() != wanted or given + len(held) != packets:
                return {}
        return found

    def _intact_frames(self, start: _Start | None) -> Iterator[tuple[Any, list[tuple[int, Any]]]]:
        """Each packet with the frames that it completes and their numbers.

        Without those that build on a damaged one: up to the next key frame. Where frames are only counted, the count is
        lost there, and they end.
        """
        if start is None:
            self.close()
            self._open()  # the one sure way to the beginning
        else:
            self._container.seek(start.seek_to, stream=self._stream)
        packets = self._container.demux(self._stream)
        if start is not None and start.packet is not None:
            packets = dropwhile(lambda packet: self._mark(packet) != start.packet, packets)
        intact, number = True, start.number if start is not None else 0
        for packet in packets:
            try:
                frames = packet.decode()
            except self._av.FFmpegError:
                intact, frames = False, []
            kept = []
            for frame in frames:
                intact = not frame.is_corrupt and (intact or bool(self._times) and frame.key_frame)
                if intact:
                    kept.append((number, frame))
                number += 1
            yield packet, kept

    def close(self) -> None:
        self._container.close()


class DecordReader(VideoReader):
    """decord on one thread, always decoding from the beginning, frame by frame.

    Where version 0.6.0 skips it was seen to return wrong frames, in every AVI
    file and in other files with MPEG-2 or MPEG-4 video and B-frames. In MPEG
    transport streams it loses the first frames, so these are refused. It turns frames
    upright by itself; ``next()`` would return some of those with FFmpeg's padding.
    """

    def __init__(self, path: str) -> None:
        import decord
        with open(path, 'rb') as file:
            head = file.read(200)
        if any(head[first::step][:2] == b'GG' for first, step in ((0, 188), (4, 192))):  # a G starts each packet
            raise ValueError('MPEG transport streams come out wrong')
        self._reader = decord.VideoReader(path, num_threads=1)
        count = len(self._reader)
        spans = self._reader.get_frame_timestamp(range(count)).astype(np.float64)  # (num_frames, 2)
        starts = spans[:, 0] - spans[0, 0]
        if spans[0, 0] < 0 or (np.diff(starts) <= 0).any():  # AVI: there are none
            starts = np.arange(count) / self._reader.get_avg_fps()
        self.timestamps = starts
        period = starts[-1] / (count - 1) if count > 1 else 1 / self._reader.get_avg_fps()
        self.duration = float(starts[-1] + period)

    def get_batch(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        wanted = {int(index) for index in indices}
        frames: dict[int, np.ndarray] = {}
        self._reader.seek(0)
        for number in range(max(wanted) + 1):
            frame = self._reader.get_batch([number])
            if number in wanted:
                frames[number] = frame.asnumpy()[0]
        return np.stack([frames[index] for index in indices])

    def close(self) -> None:
        self._reader = None  # decord has no close(); its threads end with the object


class FolderReader(VideoReader):
    """A folder of images, taken in the order of the numbers in their names."""

    def __init__(self, path: str, fps: float) -> None:
        self._paths = sorted((entry.path for entry in os.scandir(path)
                              if os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES), key=_by_numbers)
        if not self._paths:
            raise ValueError(f"no images ({' '.join(IMAGE_SUFFIXES)}) in the folder")
        self.timestamps = np.arange(len(self._paths)) / fps
        self.duration = len(self._paths) / fps

    def get_batch(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        return np.stack([read_image(self._paths[index]) for index in indices])

    def close(self) -> None:
        pass


def _by_numbers(path: str) -> list:
    """Sort key that puts ``frame10.jpg`` after ``frame9.jpg``."""
    parts = re.split(r'(\d+)', os.path.basename(path))
    return [(int(part), '') if part.isdigit() else (0, part) for part in parts]


#: In the order in which ``'auto'`` tries them.
BACKENDS = dict(pyav=PyAVReader, decord=DecordReader)
