"""ActivityNet Captions (Krishna et al., ICCV 2017)."""
from typing import Any

from mmcma.datasets.annotated_moments import AnnotatedMoments, DescribedMoment, DescribedVideo
from mmcma.datasets.annotations.reading import read_ids, read_json
from mmcma.datasets.annotations.texts import check_caption
from mmcma.datasets.retrieval_dataset import SplitSize
from mmcma.registry import DATASETS
from mmcma.utils.errors import DataError, cause, short
from mmcma.utils.spans import Span


@DATASETS.register_module()
class ActivityNetCaptions(AnnotatedMoments):
    """Videos of about two minutes, each with one paragraph, read from the files as distributed.

    Video-paragraph retrieval: the sentences of a video, which describe its
    moments, are stripped and joined to one caption of the whole video; a blank
    one adds nothing to it. An id and its file may both be with or without the
    ``v_`` before YouTube's id. With ``moments=True`` each sentence is a caption
    of the time that it describes.
    """
    SPLITS = {'train': SplitSize(10009, 10009), 'val_1': SplitSize(4917, 4917), 'val_2': SplitSize(4885, 4885)}
    DATA_PREFIX = dict(ann='', visual='videos')
    LAYOUT = ('{ann}/train.json', '{ann}/val_1.json', '{ann}/val_2.json', '{visual}/v_uqiMw7tQ1Cc.mp4 and so on')

    def file_names(self, item: dict) -> list[str]:
        name = item.get('path', item['id'])
        bare = name.removeprefix('v_')
        return [name, bare if bare != name else f'v_{bare}']

    def read_items(self) -> list[dict]:
        return [dict(id=video_id, captions=[_paragraph(video, where)]) for video_id, where, video in self._read()]

    def read_videos(self) -> dict[str, DescribedVideo]:
        return {video_id: _described(video, where) for video_id, where, video in self._read()}

    def _read(self) -> list[tuple[str, str, Any]]:
        """Each video's id, place in the file and content."""
        path = self.caption_file(f'{self.split}.json')
        data = read_json(path)
        if not isinstance(data, dict):
            raise DataError(f'{path}: holds a {type(data).__name__}, not a dict of videos by id')
        ids = read_ids((f'{path}, video {number}', name) for number, name in enumerate(data))
        return [(video_id, f'{path}, {short(video_id)}', video) for video_id, video in zip(ids, data.values())]


def _paragraph(video: Any, where: str) -> str:
    if not isinstance(video, dict) or not isinstance(video.get('sentences'), list):
        raise DataError(f"{where}: no list 'sentences'; is it ActivityNet Captions' file?")
    for number, sentence in enumerate(video['sentences']):
        if not isinstance(sentence, str):
            raise DataError(f'{where}, sentence {number}: {short(sentence)} is not text')
    return check_caption(' '.join(filter(None, map(str.strip, video['sentences']))), where)


def _described(video: Any, where: str) -> DescribedVideo:
    _paragraph(video, where)
    try:
        moments = [DescribedMoment(sentence.strip(), [Span(float(start), float(end))])
                   for sentence, (start, end) in zip(video['sentences'], video['timestamps'], strict=True)]
        return DescribedVideo(float(video['duration']), [moment for moment in moments if moment.caption])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where}: no 'duration' and 'timestamps' of its sentences ({cause(error)})") from error
