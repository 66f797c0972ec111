"""What reads a video file, by the name that a config gives."""
from collections.abc import Callable

from mmcma.datasets.video.decord_reader import DecordReader
from mmcma.datasets.video.pyav_reader import PyAVReader
from mmcma.datasets.video.video_reader import VideoReader

#: A path to the reader of that file.
BACKENDS: dict[str, Callable[[str], VideoReader]] = dict(pyav=PyAVReader, decord=DecordReader)
