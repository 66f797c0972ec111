"""Every data set's annotation files, small and whole, with empty files in the place of its media."""
import copy
import csv
import io
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmcma import datasets

CLIPS = ['Ptf_2VRj-V0_000122_000132', '54322086@N00_2408598493_274c77d26a', 'video7', 'café']
PHOTOS = ['COCO_val2014_000000000042.jpg', '1000268201_693b08cb0e.jpg', 'été.jpg']
CAPTIONS = ['A man plays the guitar.', 'a dog, running "fast"', 'Ein Café; zwei Stühle — drei', '一个人在跑步',
            "it's 5 > 4"]


@dataclass(frozen=True)
class AnnotationFile:
    """A file as data that can be changed, and how it is written.

    Attributes:
        content: JSON or pickled data, or rows of cells.
        write: Its bytes.
    """

    content: Any
    write: Callable[[Any], bytes]


@dataclass(frozen=True)
class World:
    """A data set whose files are all right.

    Attributes:
        kind: Name of its class.
        files: By name.
        media: Files below ``visual``.
        options: Of the constructor.
    """

    kind: str
    files: dict[str, AnnotationFile]
    media: list[str]
    options: dict = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """All files, into a new folder."""
        for name in self.media:
            path = folder / self.visual / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        for name, file in self.files.items():
            (folder / name).write_bytes(file.write(copy.deepcopy(file.content)))

    @property
    def visual(self) -> str:
        return getattr(datasets, self.kind).DATA_PREFIX['visual']

    def read(self, folder: Path, **options) -> list[dict]:
        """The items, as the project reads them."""
        return list(getattr(datasets, self.kind)(data_root=str(folder), **self.options, **options).items)


def as_json(content: Any) -> bytes:
    return json.dumps(content).encode()


def as_json_lines(content: Any) -> bytes:
    rows = content if isinstance(content, list) else [content]
    return '\n'.join(json.dumps(row, ensure_ascii=False) for row in rows).encode('utf-8', 'surrogatepass')


def as_csv(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode('utf-8', 'surrogatepass')


def as_tabs(rows: list[list[str]]) -> bytes:
    return '\n'.join('\t'.join(row) for row in rows).encode('utf-8', 'surrogatepass')


def worlds() -> list[World]:
    """One of each class and form of file."""
    mp4 = [f'{clip}.mp4' for clip in CLIPS]
    lists = AnnotationFile([[clip] for clip in CLIPS], as_tabs)
    pairs = list(zip(CLIPS, CAPTIONS))
    sentences = [dict(video_id=clip, caption=text, sen_id=n) for n, (clip, text) in enumerate(pairs * 2)]
    videos = [dict(video_id=clip, split='train', category=9, url='') for clip in CLIPS]
    moments = [dict(video=f'{clip}.avi', description=text, times=[[0, 1]]) for clip, text in pairs * 2]
    activities = {clip: dict(duration=9.5, timestamps=[[0, 3]], sentences=[text, text]) for clip, text in pairs}
    own = [dict(path=name, caption=text, start=n, end=n + 1.5) for n, (name, text) in enumerate(zip(mp4, CAPTIONS))]
    table = [['path', 'caption', 'start', 'end', 'id'], *([row['path'], row['caption'], '', '3.5', ''] for row in own)]
    movie = 'movie_00.00.51.926-00.00.54.129'
    lsmdc = [[f'{movie}', '1', '2', '3', '4', text] for text in CAPTIONS]
    return [
        World('MSRVTT', {'MSRVTT_data.json': AnnotationFile(dict(videos=videos, sentences=sentences), as_json)}, mp4,
              dict(split='train')),
        World('MSRVTT', {'MSRVTT_JSFUSION_test.csv': AnnotationFile(
            [['key', 'video_id', 'sentence'], *(['ret', *pair] for pair in pairs)], as_csv)}, mp4,
              dict(split='test-1kA')),
        World('MSVD', {'raw-captions.pkl': AnnotationFile(
            {clip: [text.split(), text.split()] for clip, text in pairs}, pickle.dumps), 'test_list.txt': lists}, mp4,
              dict(split='test')),
        World('VATEX', {'vatex_validation_v1.0.json': AnnotationFile(
            [dict(videoID=clip, enCap=[text, text]) for clip, text in pairs], as_json), 'val_list.txt': lists}, mp4,
              dict(split='val')),
        World('LSMDC', {'LSMDC16_annos_val.csv': AnnotationFile(lsmdc, as_tabs)}, [f'movie/{movie}.avi'],
              dict(split='val')),
        World('DiDeMo', {'val_data.json': AnnotationFile(moments, as_json), 'val_list.txt': lists}, mp4,
              dict(split='val')),
        World('ActivityNetCaptions', {'val_1.json': AnnotationFile(activities, as_json)}, mp4, dict(split='val_1')),
        World('COCO', {'dataset_coco.json': _karpathy('coco', filepath='val2014')}, [f'val2014/{p}' for p in PHOTOS],
              dict(split='test')),
        World('COCO', {'coco_karpathy_test.json': AnnotationFile(
            [dict(image=f'val2014/{photo}', caption=CAPTIONS) for photo in PHOTOS], as_json)},
              [f'val2014/{photo}' for photo in PHOTOS], dict(split='test')),
        World('Flickr30k', {'dataset_flickr30k.json': _karpathy('flickr30k')}, PHOTOS, dict(split='test')),
        World('Flickr8k', {'Flickr8k.token.txt': AnnotationFile(
            [[f'{photo}#{n}', text] for photo in PHOTOS for n, text in enumerate(CAPTIONS)], as_tabs),
            'Flickr_8k.testImages.txt': AnnotationFile([[photo] for photo in PHOTOS], as_tabs)}, PHOTOS,
              dict(split='test')),
        World('CaptionedFiles', {'own.jsonl': AnnotationFile(own, as_json_lines)}, mp4, dict(ann_file='own.jsonl')),
        World('CaptionedFiles', {'own.csv': AnnotationFile(table, as_csv)}, mp4, dict(ann_file='own.csv')),
    ]


def _karpathy(dataset: str, **folder) -> AnnotationFile:
    images = [dict(filename=photo, split='test', sentences=[dict(raw=text) for text in CAPTIONS], **folder)
              for photo in PHOTOS]
    return AnnotationFile(dict(images=images, dataset=dataset), as_json)
