"""Annotation files of data sets in their distributed form, small, that the tests write for themselves."""
import json
import pickle
from pathlib import Path

from helpers.media import write_image


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
