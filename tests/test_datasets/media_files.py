"""Videos, pictures and annotation files that the tests write for themselves."""
import json
import os
import pickle
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

SHARED = os.environ.get('MMCMA_SHARED_DATA', '')
needs_shared_data = pytest.mark.skipif(not os.path.isdir(SHARED), reason='MMCMA_SHARED_DATA is no folder')


def shade(number: int) -> int:
    """The grey of frame ``number``: neighbours differ, and no two of 100 are alike."""
    return 20 + number * 37 % 200


def write_video(path: Path, num_frames: int = 30, fps: int = 10, codec: str = 'libx264', size=(64, 48),
                b_frames: int = 2) -> Path:
    """A clip whose frame i is uniformly ``shade(i)``; size is (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height = size
        stream.pix_fmt = 'yuv420p'
        stream.gop_size, stream.bit_rate = 12, 1_000_000
        stream.codec_context.max_b_frames = b_frames
        for number in range(num_frames):
            picture = np.full((size[1], size[0], 3), shade(number), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
        container.mux(stream.encode())
    return path


def write_picture(path: Path, grey: int = 100, size=(64, 48)) -> Path:
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
        write_picture(root / 'images' / name)
        (root / f'Flickr_8k.{split}Images.txt').write_text(name + '\n')
    # The distributed file has a line for 'NAME.jpg.1' too, which no list names.
    names.append('2258277193_586949ec62.jpg.1')
    lines = [f'{name}#{k}\tcaption {k} .' for name in names for k in range(5)]
    (root / 'Flickr8k.token.txt').write_text('\n'.join(lines) + '\n')
    return root
