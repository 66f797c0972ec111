"""Decoders that say when a stream is damaged, instead of concealing it."""
from typing import Any

import av
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from mmcma.datasets.video.orientation import display_matrix, upright
from mmcma.utils.timeouts import made_progress

#: FFmpeg's own VP9 decoder takes damage for a picture; libvpx finds that a picture ends before its data or after it.
CHECKING_DECODERS = dict(vp9='libvpx-vp9')
#: An error in place of concealment; checksums where a stream has them (HEVC's picture hashes).
OPTIONS = dict(err_detect='explode+crccheck')
#: dav1d checks the end of each picture's data only if it is to be strict.
MORE_OPTIONS = dict(libdav1d=dict(strict='1'))


class DamagedError(ValueError):
    """A packet cannot be decoded as it was written.

    Args:
        reason: What is wrong with it.
        pts: Its timestamp, in the stream's time base, where it has one.
    """

    def __init__(self, reason: str, pts: int | None = None) -> None:
        super().__init__(reason)
        self.pts = pts


class Decoder:
    """Decodes one track on one thread: a data loader runs many readers side by side.

    What it finds is damage that breaks the syntax, or that the container or a checksum tells. That is nearly all in AV1
    and VP9, most in H.264, MPEG-2 and MPEG-4, and little in VP8 and in HEVC without picture hashes.
    """

    def __init__(self, stream: VideoStream) -> None:
        self._native: Any = stream.codec_context
        self._context: Any = self._native
        name = CHECKING_DECODERS.get(stream.codec_context.codec.canonical_name)
        if name in av.codecs_available:
            self._context = av.CodecContext.create(name, 'r')
            self._context.extradata = self._native.extradata
        self._matrix: bytes | None = None
        self._size: tuple[int, int] | None = None
        # One for the reader: frame.to_ndarray(format=...) makes a scaler anew for every frame.
        self._reformatter = VideoReformatter()
        for context in {self._native, self._context}:
            context.thread_count = 1
            context.options = OPTIONS | MORE_OPTIONS.get(context.name, {})
        self._knows_matrix = self._context is self._native

    def decode(self, packet: Packet | None) -> list[VideoFrame]:
        """The frames that a packet completes, or without one those that are left.

        Raises:
            DamagedError: When the packet is damaged, or a frame that it completes.
        """
        made_progress()
        try:
            frames = self._context.decode(packet)
            if not self._knows_matrix and packet is not None:  # only the track's own decoder is told of it
                self._matrix = next((display_matrix(frame) for frame in self._native.decode(packet)), None)
                self._knows_matrix = True
        except av.FFmpegError as error:
            raise DamagedError(str(error.strerror)) from error
        if packet is not None and packet.is_corrupt or any(frame.is_corrupt for frame in frames):
            raise DamagedError('marked as corrupt')
        return frames

    def flush(self) -> None:
        """Forgets all packets, before those of another place."""
        self._context.flush_buffers()

    def image(self, frame: VideoFrame) -> np.ndarray:
        """uint8 RGB ``(H, W, 3)``, upright.

        Raises:
            ValueError: When frames of this decoder have had another size, or the track is turned by no whole quarter.
        """
        size = frame.width, frame.height
        if self._size not in (None, size):
            raise ValueError(f'the video changes its size from {self._size[0]}x{self._size[1]} to {size[0]}x{size[1]}; '
                             'cut it there, or convert it to one size')
        self._size = size
        rgb: Any = self._reformatter.reformat(frame, format='rgb24', threads=1)
        return upright(rgb.to_ndarray(), display_matrix(frame) or self._matrix)
