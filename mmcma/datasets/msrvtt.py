"""MSR-VTT (Xu et al., CVPR 2016)."""
from pathlib import Path
from typing import Any

from mmcma.datasets.annotations.captions_by_id import captions_by_id
from mmcma.datasets.annotations.media_folder import VIDEO_SUFFIXES
from mmcma.datasets.annotations.reading import check_all_captioned, read_ids, read_json, read_table
from mmcma.datasets.annotations.texts import check_caption, check_id
from mmcma.datasets.retrieval_dataset import RetrievalDataset, SplitSize
from mmcma.registry import DATASETS
from mmcma.utils.errors import DataError, cause, short

_LISTS = {'train-9k': 'MSRVTT_train.9k.csv', 'train-7k': 'MSRVTT_train.7k.csv',
          'test-1kA': 'MSRVTT_JSFUSION_test.csv'}
# mmaction2's files with the captions of those lists.
_MMACTION2 = {'train-9k': 'train_9k.json', 'train-7k': 'train_7k.json', 'test-1kA': 'test_JSFUSION.json'}
# The official split, by its name in the file.
_OFFICIAL = {'train': 'train', 'val': 'validate', 'test-full': 'test'}
# Microsoft's own two files, which others joined to one; the training lists take videos of both.
_TRAIN_VAL, _TEST = 'train_val_videodatainfo.json', 'test_videodatainfo.json'
_PARTS = {'train': [_TRAIN_VAL], 'val': [_TRAIN_VAL], 'test-full': [_TEST]}


@DATASETS.register_module()
class MSRVTT(RetrievalDataset):
    """10,000 web videos of 10 to 30 s with 20 sentences each, read from the files as distributed.

    Splits:
        train-9k, train-7k: The training lists of the 1k-A protocol.
        test-1kA: Its 1,000 test videos (Yu et al., ECCV 2018), one sentence each,
            which stands in the list itself.
        train, val, test-full: The official split. Both training lists
            above contain ``val``: to choose by validation, train on ``train``.
    """
    SPLITS = {
        'train-9k': SplitSize(9000, 180000), 'train-7k': SplitSize(7010, 140200),
        'test-1kA': SplitSize(1000, 1000),
        'train': SplitSize(6513, 130260), 'val': SplitSize(497, 9940), 'test-full': SplitSize(2990, 59800),
    }
    DATA_PREFIX = dict(ann='', visual='videos')
    LAYOUT = ('{ann}/MSRVTT_data.json (or .json.gz, or train_val_videodatainfo.json and test_videodatainfo.json)',
              '{ann}/MSRVTT_train.9k.csv', '{ann}/MSRVTT_train.7k.csv', '{ann}/MSRVTT_JSFUSION_test.csv',
              "(or mmaction2's train_9k.json, train_7k.json and test_JSFUSION.json)",
              '{visual}/video0.mp4 and so on')

    def read_items(self) -> list[dict]:
        if self.split == 'test-1kA':
            return self._read_test_list()
        paths = self._caption_files()
        files = [(path, read_json(path)) for path in paths]
        if not (isinstance(files[0][1], dict) and 'videos' in files[0][1]):  # captions of this split and no others
            return _listed(*files[0])
        videos, sentences = zip(*(_videos_and_sentences(path, data) for path, data in files))
        if self.split in _LISTS:
            rows = read_table(self.annotation(_LISTS[self.split]), ['video_id'])
            ids = read_ids((where, row['video_id']) for where, row in rows)
        else:
            ids = read_ids((where, name) for where, name, part in sum(videos, []) if part == _OFFICIAL[self.split])
        captions: dict[str, list[str]] = {video_id: [] for video_id in ids}
        for where, name, caption in sum(sentences, []):
            video_id = check_id(name, where)
            if video_id in captions:
                captions[video_id].append(check_caption(caption, f'{where} of {short(video_id)}'))
        check_all_captioned(ids, captions, ' and '.join(map(str, paths)), self.split)
        return [dict(id=video_id, captions=captions[video_id]) for video_id in ids]

    def _caption_files(self) -> list[Path]:
        one = ['MSRVTT_data.json', *filter(None, [_MMACTION2.get(self.split)])]
        if self.ann_file or self.annotation_if_there(*one) or not self.annotation_if_there(_TRAIN_VAL, _TEST):
            return [self.caption_file(*one)]
        return [self.annotation(part) for part in _PARTS.get(self.split, [_TRAIN_VAL, _TEST])]

    def _read_test_list(self) -> list[dict]:
        path = self.caption_file(_LISTS['test-1kA'], _MMACTION2['test-1kA'])
        if path.name.removesuffix('.gz').endswith('.json'):
            return _listed(path, read_json(path))
        rows = read_table(path, ['video_id', 'sentence'])
        read_ids((where, row['video_id']) for where, row in rows)
        return [dict(id=check_id(row['video_id'], where), captions=[check_caption(row['sentence'], where)])
                for where, row in rows]


def _listed(path: Path, data: Any) -> list[dict]:
    return [dict(id=video_id, captions=captions)
            for video_id, captions in captions_by_id(data, path, VIDEO_SUFFIXES).items()]


def _videos_and_sentences(path: Path, data: Any) -> tuple[list[tuple], list[tuple]]:
    """``(where, id, split)`` of every video and ``(where, id, caption)`` of every sentence."""
    try:
        videos = [(f'{path}, video {number}', video['video_id'], video['split'])
                  for number, video in enumerate(data['videos'])]
        sentences = [(f"{path}, sentence {short(row['sen_id'])}", row['video_id'], row['caption'])
                     for row in data['sentences']]
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: not MSR-VTT's file: 'videos' need video_id and split, 'sentences' need "
                        f'video_id, caption and sen_id ({cause(error)})') from error
    return videos, sentences
