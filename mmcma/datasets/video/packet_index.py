"""What a pass over a file's packets tells of its frames, before any is decoded."""
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from mmcma.datasets.video.random_access import entry_point
from mmcma.utils.timeouts import made_progress


class Start(NamedTuple):
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
    is_key: bool


class _Entry(NamedTuple):
    """An entry point and the number of shown packets before it."""
    packet: _Packet
    number: int
    closed: bool


class PacketIndex:
    """When the frames of a track are shown, and where the decoding of each can begin.

    Args:
        container: At its beginning; it is read to its end.
        stream: The track.

    Attributes:
        times (list[int] | None): The timestamps of all frames, rising, in the stream's time base: by them frames
            are known. None where there are none to rely on and frames are known by their numbers.
        key_frames (list[int]): By what the key frames are known.
        starts (dict[int, Start]): Where the decoding of a frame begins, by what it is known by; empty where nobody
            knows.
        timestamps (np.ndarray): Seconds from the first frame to each frame, float64 ``(num_frames,)``.
        duration (float): Seconds until the last frame ends.

    Raises:
        ValueError: The track has no frames.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._codec = stream.codec_context.name
        packets, entries = self._list_packets(container, stream)
        if not packets:
            raise ValueError('no frames in the video stream')
        timed = container.format.name != 'avi' and all(packet.pts is not None for packet in packets)
        self.times = sorted({packet.pts for packet in packets}) if timed else None
        self.key_frames = sorted({packet.pts if timed else number for number, packet in enumerate(packets)
                                   if packet.is_key})
        ticks: Sequence = self.times or [packet.dts for packet in packets]
        tick = float(stream.time_base or 1)
        self.starts = self._find_starts(packets, entries) if None not in ticks else {}
        if None in ticks:
            ticks, tick = range(len(ticks)), 1 / float(stream.average_rate or 1)
        self.timestamps = (np.array(ticks, dtype=np.float64) - ticks[0]) * tick
        last = max(packets, key=lambda packet: packet.pts) if timed else packets[-1]
        period = self.timestamps[-1] / (len(ticks) - 1) if len(ticks) > 1 else \
            1 / float(stream.average_rate or 1)
        # A container does not always know how long the last frame stands.
        self.duration = float(self.timestamps[-1] + max(period, (last.duration or 0) * tick))

    def _list_packets(self, container: InputContainer, stream: VideoStream) -> tuple[list[_Packet], list[_Entry]]:
        """The times of frames that are shown, and the entry points; none where parameters change on the way."""
        context = stream.codec_context
        packets: list[_Packet] = []
        entries: list[_Entry] = []
        parameters, changes = set(), False
        for packet in container.demux(stream):
            made_progress()
            if not packet.size:
                continue
            kept = _Packet(packet.pts, packet.dts, packet.duration, packet.is_keyframe)
            if packet.is_keyframe:
                entry = entry_point(context.codec.canonical_name, bytes(packet), context.extradata)
                if entry is not None:
                    entries.append(_Entry(kept, len(packets), entry.closed))
                    parameters.add(entry.parameters)
            changes |= packet.has_sidedata('new_extradata')
            if self.is_shown(packet):
                packets.append(kept)
        return packets, [] if len(parameters) > 1 or changes else entries

    def is_shown(self, packet: Packet) -> bool:
        """Whether it holds a frame that is shown."""
        if not packet.size or packet.is_discard:
            return False
        # VP8's packets of pictures that are only referred to: no show_frame bit (RFC 6386, section 9.1).
        return self._codec != 'vp8' or bool(memoryview(packet)[0] & 0x10)

    def key(self, index: int) -> int:
        """By what a frame is known."""
        return self.times[index] if self.times else int(index)

    def number(self, key: int) -> int:
        """The frame that is known by it, or follows where none is."""
        return bisect_left(self.times, key) if self.times else key

    def mark(self, packet: Any) -> Any:
        """What a packet is known by."""
        return packet.pts if self.times else packet.dts

    def _find_starts(self, packets: list[_Packet], entries: list[_Entry]) -> dict[int, Start]:
        """Where the decoding of each frame begins, by what the frame is known by: its timestamp, or its number."""
        # Counting needs all frames of a group.
        usable = [entry for entry in entries if (entry.packet.pts is not None if self.times else entry.closed)]
        marks = [self.mark(packet) for packet in packets]
        if len(set(marks)) < len(marks):
            return {}
        shared = {entry.number: Start(first.pts if first.dts is None else first.dts, self.mark(first), entry.number)
                  for entry in usable for first in [entry.packet]}
        starts, before, after = {}, [], deque(usable)
        for number, packet in enumerate(packets):
            while after and after[0].number <= number:
                before.append(after.popleft())
            # What is shown before an entry point may refer across it.
            entry = next((entry for entry in reversed(before)
                          if not self.times or entry.packet.pts <= packet.pts), None)
            if entry is not None:
                starts[packet.pts if self.times else number] = shared[entry.number]
        return starts
