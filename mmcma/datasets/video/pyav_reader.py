"""Frames by FFmpeg through PyAV: each is right, or there is an error."""
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import dropwhile
from typing import Any, NamedTuple

import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame

from mmcma.datasets.video.containers import choose_track, open_container
from mmcma.datasets.video.decoding import DamagedError, Decoder
from mmcma.datasets.video.random_access import entry_point
from mmcma.datasets.video.video_reader import VideoReader


class _Start(NamedTuple):
    """Where decoding can begin.

    Attributes:
        seek_to: Place in the file, in the stream's time base.
        packet: What the first packet to decode is known by; None for the one that a seek finds.
        number: Frames before it.
    """
    seek_to: int
    packet: int | None = None
    number: int = 0


class _Packet(NamedTuple):
    """What is kept of a packet: times in the stream's time base, whole numbers, None where the container has none."""
    pts: Any
    dts: Any
    duration: Any


class _Entry(NamedTuple):
    """An entry point and the number of shown packets before it."""
    packet: _Packet
    number: int
    closed: bool


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
            self._index()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        self._container = open_container(self._path)
        try:
            self._stream = choose_track(self._container)
            self._decoder = Decoder(self._stream)
        except BaseException:
            self.close()
            raise

    def _index(self) -> None:
        packets, entries = self._list_packets()
        if not packets:
            raise ValueError('no frames in the video stream')
        timed = self._container.format.name != 'avi' and all(packet.pts is not None for packet in packets)
        self._times = sorted({packet.pts for packet in packets}) if timed else None
        ticks: Sequence = self._times or [packet.dts for packet in packets]
        tick = float(self._stream.time_base or 1)
        self._starts = self._find_starts(packets, entries) if None not in ticks else {}
        if None in ticks:
            ticks, tick = range(len(ticks)), 1 / float(self._stream.average_rate or 1)
        self.timestamps = (np.array(ticks, dtype=np.float64) - ticks[0]) * tick
        last = max(packets, key=lambda packet: packet.pts) if timed else packets[-1]
        period = self.timestamps[-1] / (len(ticks) - 1) if len(ticks) > 1 else \
            1 / float(self._stream.average_rate or 1)
        # A container does not always know how long the last frame stands.
        self.duration = float(self.timestamps[-1] + max(period, (last.duration or 0) * tick))

    def _list_packets(self) -> tuple[list[_Packet], list[_Entry]]:
        """The times of frames that are shown, and the entry points; none where parameters change on the way."""
        context = self._stream.codec_context
        packets: list[_Packet] = []
        entries: list[_Entry] = []
        parameters, changes = set(), False
        for packet in self._container.demux(self._stream):
            if not packet.size:
                continue
            kept = _Packet(packet.pts, packet.dts, packet.duration)
            if packet.is_keyframe:
                entry = entry_point(context.codec.canonical_name, bytes(packet), context.extradata)
                if entry is not None:
                    entries.append(_Entry(kept, len(packets), entry.closed))
                    parameters.add(entry.parameters)
            changes |= packet.has_sidedata('new_extradata')
            if not packet.is_discard and not self._is_hidden(packet):
                packets.append(kept)
        return packets, [] if len(parameters) > 1 or changes else entries

    def _is_hidden(self, packet: Packet) -> bool:
        # VP8's packets of pictures that are only referred to: no show_frame bit (RFC 6386, section 9.1).
        return self._stream.codec_context.name == 'vp8' and not memoryview(packet)[0] & 0x10

    def _mark(self, packet: Any) -> Any:
        return packet.pts if self._times else packet.dts

    def _find_starts(self, packets: list[_Packet], entries: list[_Entry]) -> dict[int, _Start]:
        """Where the decoding of each frame begins, by what the frame is known by: its timestamp, or its number."""
        # Counting needs all frames of a group.
        usable = [entry for entry in entries if (entry.packet.pts is not None if self._times else entry.closed)]
        marks = [self._mark(packet) for packet in packets]
        if len(set(marks)) < len(marks):
            return {}
        starts, before, after = {}, [], deque(usable)
        for number, packet in enumerate(packets):
            while after and after[0].number <= number:
                before.append(after.popleft())
            # What is shown before an entry point may refer across it.
            entry = next((entry for entry in reversed(before)
                          if not self._times or entry.packet.pts <= packet.pts), None)
            if entry is not None:
                first = entry.packet
                starts[packet.pts if self._times else number] = _Start(
                    first.pts if first.dts is None else first.dts, self._mark(first), entry.number)
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
                frames.update(self._try(wanted))
        missing = set(keys) - frames.keys()
        if missing:  # a seek may land too late
            frames.update(self._decode(missing))
        lost = [index for index, key in zip(indices, keys) if key not in frames]
        if lost:
            raise ValueError(f'frame {lost[0]} of {self.num_frames} cannot be decoded: what it builds on is missing')
        return np.stack([frames[key] for key in keys])

    def _try(self, wanted: set[int]) -> dict[int, np.ndarray]:
        """From a key frame of which nobody knows whether all frames behind it can be decoded from there."""
        try:
            return self._decode(wanted, _Start(min(wanted)))
        except DamagedError:
            return {}

    def _decode(self, wanted: set[int], start: _Start | None = None) -> dict[int, np.ndarray]:
        found: dict[int, np.ndarray] = {}
        packets = given = 0
        for packet, frames in self._decoded_packets(start):
            packets, given = packets + bool(packet.size), given + len(frames)
            for number, frame in frames:
                key = frame.pts if self._times else number
                if key in wanted:
                    found[key] = self._decoder.image(frame)
            if len(found) == len(wanted):
                break
        if start is not None and not self._times:  # the count is right only if each packet gave one frame
            held = self._decoder.decode(None) if found.keys() == wanted and packet.size else []
            if found.keys() != wanted or given + len(held) != packets:
                return {}
        return found

    def _decoded_packets(self, start: _Start | None) -> Iterator[tuple[Packet, list[tuple[int, VideoFrame]]]]:
        """Each packet with the frames that it completes and their numbers.

        Without those that are shown before the first key frame: what they refer to was not decoded.

        Raises:
            DamagedError: At the first damaged packet, apart from those.
        """
        number, first = (start.number if start is not None else 0), None
        for packet in self._packets(start):
            if first is None and packet.is_keyframe:
                first = packet.pts
            try:
                frames = self._decoder.decode(packet)
            except DamagedError as error:
                if self._times and packet.size and (first is None or packet.pts < first):
                    continue
                raise DamagedError(f'damaged at frame {self._number(packet, number)} of {self.num_frames}') from error
            kept = [frame for frame in frames if not self._times or first is not None and frame.pts >= first]
            yield packet, list(enumerate(kept, number))
            number += len(kept)

    def _packets(self, start: _Start | None) -> Iterator[Any]:
        if start is None:
            self.close()
            self._open()  # the one sure way to the beginning
        else:
            self._container.seek(start.seek_to, stream=self._stream)
            self._decoder.flush()
        packets = self._container.demux(self._stream)
        if start is None or start.packet is None:
            return packets
        return dropwhile(lambda packet: self._mark(packet) != start.packet, packets)

    def _number(self, packet: Any, given: int) -> int:
        """The frame that a packet holds, or the next one where frames are only counted."""
        number = bisect_left(self._times, packet.pts) if self._times and packet.size else given
        return min(number, self.num_frames - 1)

    def close(self) -> None:
        self._container.close()
