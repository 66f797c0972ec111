"""Videos, images and sound that the tests write for themselves."""
import os
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

SHARED = os.environ.get('MMCMA_SHARED_DATA', '')
needs_shared_data = pytest.mark.skipif(not os.path.isdir(SHARED), reason='MMCMA_SHARED_DATA is no folder')

#: Codecs that have no yuv420p.
PIXELS = dict(gif='rgb8')


def shade(number: int) -> int:
    """The grey of frame ``number``: neighbours differ, and no two of 100 are alike."""
    return 20 + number * 37 % 200


def write_video(path: Path, num_frames: int = 30, fps: int = 10, codec: str = 'libx264', size=(64, 48),
                b_frames: int = 2, times=None, paint=shade) -> Path:
    """A clip whose frame i is ``paint(i)``, a grey or an array of them; size is (width, height).

    Frame i is shown at ``times[i] / fps`` seconds, by default at ``i / fps``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height = size
        stream.pix_fmt = PIXELS.get(codec, 'yuv420p')
        stream.gop_size, stream.bit_rate = 12, 1_000_000
        if b_frames or codec == 'libx264':  # AV1 and GIF refuse to hear of them
            stream.codec_context.max_b_frames = b_frames
        if codec == 'libx264':
            stream.options = dict(sc_threshold='0')  # no key frames but each twelfth
        container.start_encoding()  # so that a file without frames has a header
        for number in range(num_frames):
            image = np.full((size[1], size[0]), paint(number), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format='gray').reformat(format='rgb24')
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def set_display_matrix(path: Path, a: float, b: float, c: float, d: float) -> None:
    """Mark an MP4 as one of which the pixel at ``(x, y)`` is shown at ``(a x + c y, b x + d y)``."""
    data = bytearray(path.read_bytes())
    place = data.index(b'tkhd') + 4 + 40  # the matrix in the track header, ISO 14496-12 section 8.3.2
    fixed = [round(value * 65536) for value in (a, b, c, d)]
    data[place:place + 36] = struct.pack('>9i', *fixed[:2], 0, *fixed[2:], 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def turn_upright_by(path: Path, degrees: int) -> None:
    """Mark an MP4 as one whose frames must be turned clockwise to be upright."""
    cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    set_display_matrix(path, cos, sin, -sin, cos)


def write_sound(path: Path) -> Path:
    """A file with sound and no image."""
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('aac', rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), dtype=np.float32), format='fltp', layout='mono')
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_image(path: Path, grey: int = 100, size=(64, 48)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', size, (grey, grey, grey)).save(path)
    return path
