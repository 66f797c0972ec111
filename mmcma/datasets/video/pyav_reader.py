"""Frames by FFmpeg through PyAV: each is right, or there is an error."""
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import dropwhile, groupby
from typing import Any

import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame

from mmcma.datasets.video.containers import choose_track, open_container
from mmcma.datasets.video.decoding import DamagedError, Decoder
from mmcma.datasets.video.packet_index import PacketIndex, Start
from mmcma.datasets.video.random_access import is_disposable
from mmcma.datasets.video.video_reader import Convert, VideoReader


class _MiscountedError(ValueError):
    """Where frames are counted from an entry point, a packet gave none, or more than one."""


class PyAVReader(VideoReader):
    """FFmpeg through PyAV.

    Frames are known by their timestamps, which a pass over the packets (no
    decoding) collects. AVI and bare streams have no timestamps to rely on (an AVI
    packet carries its place in decoding order): there frames are counted.

    H.264, HEVC, VP9, AV1 and MPEG-4 are decoded from the last entry point (:class:`EntryPoint`) before each wanted
    frame, and what lies between is skipped. With other codecs, and where a file's parameters change on the way,
    all is decoded from the key frame before the first wanted frame or, where
    frames are counted, from the beginning.

    Damage that is met on the way to a wanted frame is an error, since nobody knows how far it reaches.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._open()
        try:
            self._index = PacketIndex(self._container, self._stream)
        except BaseException:
            self.close()
            raise
        self.timestamps, self.duration = self._index.timestamps, self._index.duration

    def _open(self) -> None:
        self._container = open_container(self._path)
        try:
            self._stream = choose_track(self._container)
            self._decoder = Decoder(self._stream)
        except BaseException:
            self.close()
            raise

    def get_batch(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        keys = [self._index.key(index) for index in indices]
        groups: dict[Start | None, set[int]] = {}
        for key in keys:
            groups.setdefault(self._index.starts.get(key), set()).add(key)
        frames: dict[int, np.ndarray] = {}
        for start, wanted in groups.items():
            if start is not None:
                frames.update(self._decode(wanted, start))
            elif self._index.times:
                frames.update(self._try(wanted))
        missing = set(keys) - frames.keys()
        if missing:  # a seek may land too late
            frames.update(self._decode(missing))
        lost = [index for index, key in zip(indices, keys) if key not in frames]
        if lost:
            raise ValueError(f'frame {lost[0]} of {self.num_frames} cannot be decoded: what it builds on is missing')
        return np.stack([frames[key] for key in keys])

    def scan(self, indices: Sequence[int] | np.ndarray, convert: Convert) -> Iterator[tuple[int, Any]]:
        places = {self._index.key(index): int(index) for index in indices}
        groups = deque((start, list(keys)) for start, keys in groupby(places, self._index.starts.get))
        in_a_row = False
        while groups:
            start, keys = groups.popleft()
            left, failure = dict.fromkeys(keys), None
            try:
                for key, made in self._converted(keys, start, convert, skip=not in_a_row):
                    del left[key]
                    yield places[key], made
            except _MiscountedError:
                pass
            except ValueError as error:
                failure = error
            if left and failure is None and not in_a_row:  # a seek may land too late, a count be wrong
                in_a_row = True
                groups = deque([(None, [*left, *(key for _, more in groups for key in more)])])
                continue
            beyond = self._beyond(failure, start, list(left)) if isinstance(failure, DamagedError) else []
            groups.extendleft(reversed(beyond))
            for key in sorted(left.keys() - {key for _, more in beyond for key in more}):
                yield places[key], failure or ValueError('what it builds on is missing')

    def _converted(self, keys: list[int], start: Start | None, convert: Convert,
                   skip: bool) -> Iterator[tuple[int, Any]]:
        """Frames as they come; counted ones from an entry point together, when their numbers are known to be right."""
        frames = ((key, convert(self._decoder.image(frame)))
                  for key, frame in self._wanted_frames(set(keys), start, skip))
        return frames if start is None or self._index.times else iter(list(frames))

    def _beyond(self, damage: DamagedError, start: Start | None, keys: list[int]) -> list[tuple[Start, list[int]]]:
        """Which of the frames that were to come damage may not reach, and where their decoding begins."""
        if start is not None:  # counted ones are given together: those before it come without the last
            return [] if self._index.times or len(keys) < 2 else [(start, keys[:-1])]
        if not self._index.times or damage.pts is None:
            return []
        if self._index.starts:
            groups = [(start, list(group)) for start, group in groupby(keys, self._index.starts.get)]
            return [(start, group) for start, group in groups
                    if start is not None and start.packet is not None and start.packet > damage.pts]
        place = bisect_right(self._index.key_frames, damage.pts)
        if place == len(self._index.key_frames):
            return []
        following = self._index.key_frames[place]
        behind = [key for key in keys if key >= following]
        return [(Start(following), behind)] if behind else []

    def _try(self, wanted: set[int]) -> dict[int, np.ndarray]:
        """From a key frame of which nobody knows whether all frames behind it can be decoded from there."""
        try:
            return self._decode(wanted, Start(min(wanted)))
        except DamagedError:
            return {}

    def _decode(self, wanted: set[int], start: Start | None = None) -> dict[int, np.ndarray]:
        try:
            return {key: self._decoder.image(frame) for key, frame in self._wanted_frames(wanted, start)}
        except _MiscountedError:
            return {}

    def _wanted_frames(self, wanted: set[int], start: Start | None,
                       skip: bool = False) -> Iterator[tuple[int, VideoFrame]]:
        """The wanted frames as they come, each with what it is known by.

        Raises:
            DamagedError: Something on the way to them is damaged.
            _MiscountedError: When all are given: their numbers may be wrong.
        """
        left = set(wanted)
        packets = given = 0
        for packet, frames in self._decoded_packets(start, left if skip else None):
            packets, given = packets + bool(packet.size), given + len(frames)
            for number, frame in frames:
                key = frame.pts if self._index.times else number
                if key in left:
                    left.remove(key)
                    yield key, frame
            if not left:
                break
        if start is not None and not self._index.times:  # the count is right only if each packet gave one frame
            held = self._decoder.decode(None) if not left and packet.size else []
            if left or given + len(held) != packets:
                raise _MiscountedError

    def _decoded_packets(self, start: Start | None,
                         needed: set[int] | None = None) -> Iterator[tuple[Packet, list[tuple[int, VideoFrame]]]]:
        """Each packet with the frames that it completes and their numbers.

        Without those that are shown before the first key frame: what they refer to was not decoded. Given the needed
        ones, others are left out where no frame refers to them and none is counted.

        Raises:
            DamagedError: At the first damaged packet, apart from those.
        """
        number, first = (start.number if start is not None else 0), None
        for packet in self._packets(start):
            if first is None and packet.is_keyframe:
                first = packet.pts
            if needed is not None and packet.pts not in needed and self._is_disposable(packet):
                continue
            try:
                frames = self._decoder.decode(packet)
            except DamagedError as error:
                if self._index.times and packet.size and (first is None or packet.pts < first):
                    continue
                raise DamagedError(f'damaged at frame {self._number(packet, number)} of {self.num_frames}',
                                   packet.pts) from error
            kept = [frame for frame in frames if not self._index.times or first is not None and frame.pts >= first]
            yield packet, list(enumerate(kept, number))
            number += len(kept)

    def _is_disposable(self, packet: Packet) -> bool:
        context = self._stream.codec_context
        return bool(self._index.times and packet.size) and is_disposable(context.codec.canonical_name, bytes(packet),
                                                                   context.extradata)

    def _packets(self, start: Start | None) -> Iterator[Any]:
        if start is None:
            self.close()
            self._open()  # the one sure way to the beginning
        else:
            self._container.seek(start.seek_to, stream=self._stream)
            self._decoder.flush()
        packets = self._container.demux(self._stream)
        if start is None or start.packet is None:
            return packets
        return dropwhile(lambda packet: self._index.mark(packet) != start.packet, packets)

    def _number(self, packet: Any, given: int) -> int:
        """The frame that a packet holds, or the next one where frames are only counted."""
        number = self._index.number(packet.pts) if self._index.times and packet.size else given
        return min(number, self.num_frames - 1)

    def close(self) -> None:
        self._container.close()
