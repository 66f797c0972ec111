"""What reads a video file, by the name that a config gives. Each library is imported when it is first needed."""
from collections.abc import Callable

from mmcma.datasets.video.video_reader import VideoReader


def _pyav(path: str) -> VideoReader:
    from mmcma.datasets.video.pyav_reader import PyAVReader
    return PyAVReader(path)


def _decord(path: str) -> VideoReader:
    from mmcma.datasets.video.decord_reader import DecordReader
    return DecordReader(path)


def key_frames_of(path: str) -> VideoReader:
    """The reader of a file's key frames alone."""
    from mmcma.datasets.video.key_frame_reader import KeyFrameReader
    return KeyFrameReader(path)


#: A path to the reader of that file.
BACKENDS: dict[str, Callable[[str], VideoReader]] = dict(pyav=_pyav, decord=_decord)
