"""Frames by decord, for those who ask for it."""
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mmcma.datasets.video.containers import choose_track, open_container
from mmcma.datasets.video.video_reader import Convert, VideoReader


class DecordReader(VideoReader):
    """decord on one thread, always decoding from the beginning, frame by frame: to compare with, and never a way out.

    Its frames may be wrong where PyAV's are not: version 0.6.0 conceals damage, does not mirror, and where it skips
    was seen to return other frames, in every AVI file and in other files with MPEG-2 or MPEG-4 video and B-frames. In
    MPEG transport streams it loses the first frames, so these are refused; so is what PyAV does not open, since decord
    follows playlists.
    """

    def __init__(self, path: str) -> None:
        with open_container(path) as container:
            choose_track(container)
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
        frames = dict(self.scan(indices, np.asarray))
        return np.stack([frames[index] for index in indices])

    def scan(self, indices: Sequence[int] | np.ndarray, convert: Convert) -> Iterator[tuple[int, Any]]:
        wanted = {int(index) for index in indices}
        self._reader.seek(0)
        for number in range(max(wanted) + 1):
            frame = self._reader.get_batch([number])
            if number in wanted:
                yield number, convert(frame.asnumpy()[0])

    def close(self) -> None:
        self._reader = None  # decord has no close(); its threads end with the object
