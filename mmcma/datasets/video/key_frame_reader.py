"""A video's key frames alone: a tenth of the work and less, for those who can do with a frame every few seconds."""
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from av.packet import Packet

from mmcma.datasets.video.pyav_reader import PyAVReader
from mmcma.datasets.video.video_reader import Convert


class KeyFrameReader(PyAVReader):
    """A video as if it had no other frames than its key frames, each shown until the next.

    Each is decoded by itself, so that damage reaches no other. One that does not stand for itself (the first of a
    gradual refresh) cannot be decoded. In AVI, where frames are counted as they are decoded, one with B-frames before
    it is said to be shown where the first of these is.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.timestamps = self.timestamps[[self._index.number(key) for key in self._index.key_frames]]
        if not len(self.timestamps):
            self.close()
            raise ValueError('it has no key frames')

    def get_batch(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        frames = dict(self.scan(np.unique(indices), np.asarray))
        for frame in frames.values():
            if isinstance(frame, Exception):
                raise frame
        return np.stack([frames[int(index)] for index in indices])

    def scan(self, indices: Sequence[int] | np.ndarray, convert: Convert) -> Iterator[tuple[int, Any]]:
        wanted, number = {self._index.key_frames[index]: int(index) for index in indices}, 0
        for packet in self._packets(None):
            key = packet.pts if self._index.times else number
            number += self._index.is_shown(packet)
            if packet.is_keyframe and key in wanted:
                yield wanted.pop(key), self._convert_alone(packet, convert)
                if not wanted:
                    break
        for index in wanted.values():
            yield index, ValueError('its key frame is not found again')

    def _convert_alone(self, packet: Packet, convert: Convert) -> Any:
        try:
            frames = [*self._decoder.decode(packet), *self._decoder.decode(None)]
            if len(frames) != 1:
                return ValueError('its key frame does not stand for itself')
            return convert(self._decoder.image(frames[0]))
        except ValueError as error:
            return error
        finally:
            self._decoder.flush()
