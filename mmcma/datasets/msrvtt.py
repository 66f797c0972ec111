"""MSR-VTT (Xu et al., CVPR 2016)."""
from mmcma.datasets.annotations.reading import check_all_captioned, read_ids, read_json, read_table
from mmcma.datasets.annotations.texts import check_caption, check_id
from mmcma.datasets.retrieval_dataset import RetrievalDataset, SplitSize
from mmcma.registry import DATASETS
from mmcma.utils.errors import DataError, cause, short

_LISTS = {'train-9k': 'MSRVTT_train.9k.csv', 'train-7k': 'MSRVTT_train.7k.csv',
          'test-1kA': 'MSRVTT_JSFUSION_test.csv'}
# The official split, by its name in the file.
_OFFICIAL = {'train': 'train', 'val': 'validate', 'test-full': 'test'}


@DATASETS.register_module()
class MSRVTT(RetrievalDataset):
    """10,000 web videos of 10 to 30 s with 20 sentences each, read from the files as distributed.

    Splits:
        ``train-9k``, ``train-7k``: The training lists of the 1k-A protocol.
        ``test-1kA``: Its 1,000 test videos (Yu et al., ECCV 2018), one sentence each,
            which stands in the list itself.
        ``train``, ``val``, ``test-full``: The official split. Both training lists
            above contain ``val``: to choose by validation, train on ``train``.
    """
    SPLITS = {
        'train-9k': SplitSize(9000, 180000), 'train-7k': SplitSize(7010, 140200),
        'test-1kA': SplitSize(1000, 1000),
        'train': SplitSize(6513, 130260), 'val': SplitSize(497, 9940), 'test-full': SplitSize(2990, 59800),
    }
    DATA_PREFIX = dict(ann='', visual='videos')
    LAYOUT = ('{ann}/MSRVTT_data.json (or .json.gz)', '{ann}/MSRVTT_train.9k.csv',
              '{ann}/MSRVTT_train.7k.csv', '{ann}/MSRVTT_JSFUSION_test.csv', '{visual}/video0.mp4 and so on')

    def read_items(self) -> list[dict]:
        if self.split == 'test-1kA':
            return self._read_test_list()
        path = self.caption_file('MSRVTT_data.json')
        data = read_json(path)
        try:
            videos = [(f'{path}, video {number}', video['video_id'], video['split'])
                      for number, video in enumerate(data['videos'])]
            sentences = [(row['video_id'], row['caption'], row['sen_id']) for row in data['sentences']]
        except (KeyError, TypeError) as error:
            raise DataError(f"{path}: not MSR-VTT's file: 'videos' need video_id and split, 'sentences' need "
                            f'video_id, caption and sen_id ({cause(error)})') from error
        if self.split in _LISTS:
            rows = read_table(self.annotation(_LISTS[self.split]), ['video_id'])
            ids = read_ids((where, row['video_id']) for where, row in rows)
        else:
            ids = read_ids((where, name) for where, name, part in videos if part == _OFFICIAL[self.split])
        captions: dict[str, list[str]] = {video_id: [] for video_id in ids}
        for name, caption, sentence in sentences:
            where = f'{path}, sentence {short(sentence)}'
            video_id = check_id(name, where)
            if video_id in captions:
                captions[video_id].append(check_caption(caption, f'{where} of {short(video_id)}'))
        check_all_captioned(ids, captions, path, self.split)
        return [dict(id=video_id, captions=captions[video_id]) for video_id in ids]

    def _read_test_list(self) -> list[dict]:
        rows = read_table(self.caption_file(_LISTS['test-1kA']), ['video_id', 'sentence'])
        read_ids((where, row['video_id']) for where, row in rows)
        return [dict(id=check_id(row['video_id'], where), captions=[check_caption(row['sentence'], where)])
                for where, row in rows]
