"""ActivityNet Captions (Krishna et al., ICCV 2017)."""
from typing import Any

from mmcma.datasets.annotations.reading import read_ids, read_json
from mmcma.datasets.annotations.texts import check_caption
from mmcma.datasets.retrieval_dataset import RetrievalDataset, SplitSize
from mmcma.registry import DATASETS
from mmcma.utils.errors import DataError, short


@DATASETS.register_module()
class ActivityNetCaptions(RetrievalDataset):
    """Videos of about two minutes, each with one paragraph, read from the files as distributed.

    Video-paragraph retrieval: the sentences of a video, which describe its
    moments, are stripped and joined to one caption of the whole video; a blank
    one adds nothing to it. An id and its file may both be with or without the
    ``v_`` before YouTube's id.
    """
    SPLITS = {'train': SplitSize(10009, 10009), 'val_1': SplitSize(4917, 4917), 'val_2': SplitSize(4885, 4885)}
    DATA_PREFIX = dict(ann='', visual='videos')
    LAYOUT = ('{ann}/train.json', '{ann}/val_1.json', '{ann}/val_2.json', '{visual}/v_uqiMw7tQ1Cc.mp4 and so on')

    def file_names(self, item: dict) -> list[str]:
        bare = item['id'].removeprefix('v_')
        return [item['id'], bare if bare != item['id'] else f'v_{bare}']

    def read_items(self) -> list[dict]:
        path = self.caption_file(f'{self.split}.json')
        data = read_json(path)
        if not isinstance(data, dict):
            raise DataError(f'{path}: holds a {type(data).__name__}, not a dict of videos by id')
        ids = read_ids((f'{path}, video {number}', name) for number, name in enumerate(data))
        return [dict(id=video_id, captions=[_paragraph(video, f'{path}, {short(video_id)}')])
                for video_id, video in zip(ids, data.values())]


def _paragraph(video: Any, where: str) -> str:
    if not isinstance(video, dict) or not isinstance(video.get('sentences'), list):
        raise DataError(f"{where}: no list 'sentences'; is it ActivityNet Captions' file?")
    for number, sentence in enumerate(video['sentences']):
        if not isinstance(sentence, str):
            raise DataError(f'{where}, sentence {number}: {short(sentence)} is not text')
    return check_caption(' '.join(filter(None, map(str.strip, video['sentences']))), where)
