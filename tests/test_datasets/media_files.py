"""Videos, images and annotation files that the tests write for themselves."""
import json
import os
import pickle
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


def turn_upright_by(path: Path, degrees: int) -> None:
    """Mark an MP4 as one whose frames must be turned clockwise to be upright."""
    data = bytearray(path.read_bytes())
    place = data.index(b'tkhd') + 4 + 40  # the matrix in the track header, ISO 14496-12 section 8.3.2
    cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    data[place:place + 36] = struct.pack('>9i', cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


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


def write_msrvtt(root: Path, videos: int = 6, captions: int = 2) -> Path:
    """MSR-VTT's own files, small: the last video is tested, the one before it validated."""
    root.mkdir(parents=True, exist_ok=True)
    names = [f'video{number}' for number in range(videos)]
    splits = ['train'] * (videos - 2) + ['validate', 'test']
    data = dict(
        info=dict(year='2016'),
        videos=[dict(category=9, url='', video_id=name, split=split, id=number,
                     **{'start time': 1.0, 'end time': 9.0})
                for number, (name, split) in enumerate(zip(names, splits))],
        sentences=[dict(caption=f'caption {k} of {name}', video_id=name, sen_id=20 * number + k)
                   for k in range(captions) for number, name in enumerate(names)])
    (root / 'MSRVTT_data.json').write_text(json.dumps(data))
    (root / 'MSRVTT_train.9k.csv').write_text('\n'.join(['video_id', *names[:-1]]) + '\n')
    (root / 'MSRVTT_train.7k.csv').write_text('\n'.join(['video_id', *names[:-2]]) + '\n')
    (root / 'MSRVTT_JSFUSION_test.csv').write_text(
        f'key,vid_key,video_id,sentence\nret0,msr{videos - 1},{names[-1]},"a man, talking"\n')
    for name in names:
        (root / 'videos').mkdir(exist_ok=True)
        (root / 'videos' / f'{name}.mp4').touch()
    return root


def write_msvd(root: Path) -> Path:
    (root / 'videos').mkdir(parents=True, exist_ok=True)
    names = ['-4wsuPCjDBc_5_15', 'aM-RcQj0a7I_37_55', 'bQJQGoJF7_k_162_169']
    captions = {name: [['a', 'cat', 'number', str(number)], ['it', 'plays']]
                for number, name in enumerate(names)}
    (root / 'raw-captions.pkl').write_bytes(pickle.dumps(captions))
    for split, name in zip(['train', 'val', 'test'], names):
        (root / f'{split}_list.txt').write_text(name + '\n')
        (root / 'videos' / f'{name}.avi').touch()
    return root


def write_flickr8k(root: Path) -> Path:
    names = ['1000268201_693b08cb0e.jpg', '1001773457_577c3a7d70.jpg', '1002674143_1b742ab4b8.jpg']
    for split, name in zip(['train', 'dev', 'test'], names):
        write_image(root / 'images' / name)
        (root / f'Flickr_8k.{split}Images.txt').write_text(name + '\n')
    # The distributed file has a line for 'NAME.jpg.1' too, which no list names.
    names.append('2258277193_586949ec62.jpg.1')
    lines = [f'{name}#{k}\tcaption {k} .' for name in names for k in range(5)]
    (root / 'Flickr8k.token.txt').write_text('\n'.join(lines) + '\n')
    return root
