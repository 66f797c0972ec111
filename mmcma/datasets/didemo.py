"""DiDeMo, Distinct Describable Moments (Hendricks et al., ICCV 2017)."""
from mmengine.logging import print_log

from mmcma.datasets.annotations.media_folder import VIDEO_SUFFIXES, without_suffix
from mmcma.datasets.annotations.reading import check_all_captioned, read_ids, read_json, read_lines
from mmcma.datasets.annotations.texts import check_caption, check_id
from mmcma.datasets.retrieval_dataset import RetrievalDataset, SplitSize
from mmcma.registry import DATASETS
from mmcma.utils.errors import DataError, cause

#: Of the files, which lie as their owners once uploaded them to Flickr; some names end in a bare dot.
_SUFFIXES = (*VIDEO_SUFFIXES, '.m4v', '.mpg', '.mpeg', '.wmv', '.3gp', '.3g2', '.mts', '.m2ts', '.')


@DATASETS.register_module()
class DiDeMo(RetrievalDataset):
    """Flickr videos of about 30 s, each with one paragraph, read from the files as distributed.

    Video-paragraph retrieval: the descriptions of all moments of a video are
    joined, in the order of the file, to one caption of the whole video.

    A video's id is its name without the suffix. The JSON has 1,094 names in
    ``val``, but 29 of its 1,065 videos come under two (``.mov`` and ``.mp4``);
    the descriptions under both are the video's. The retrieval protocol's lists
    (``val_list.txt`` and so on) are not part of the distribution: where there
    is none, the split is every video of its JSON. Published lists of ``train``
    differ by a few.
    """
    SPLITS = {'train': SplitSize(8395, 8395), 'val': SplitSize(1065, 1065), 'test': SplitSize(1004, 1004)}
    DATA_PREFIX = dict(ann='', visual='videos')
    LAYOUT = ('{ann}/train_data.json', '{ann}/val_data.json', '{ann}/test_data.json', '{ann}/train_list.txt '
              'and so on (or no lists)', '{visual}/54322086@N00_2408598493_274c77d26a.avi and so on')
    SUFFIXES = _SUFFIXES

    def read_items(self) -> list[dict]:
        path = self.caption_file(f'{self.split}_data.json')
        data = read_json(path)
        try:
            moments = [(f'{path}, moment {number}', row['video'], row['description'])
                       for number, row in enumerate(data)]
        except (KeyError, TypeError) as error:
            raise DataError(f"{path}: not DiDeMo's file: a list of moments with video and description "
                            f'({cause(error)})') from error
        descriptions: dict[str, list[str]] = {}
        for where, video, description in moments:
            descriptions.setdefault(_stem(video, where), []).append(check_caption(description, where))
        ids = self._listed()
        if ids is None:
            ids = list(descriptions)
        check_all_captioned(ids, descriptions, path, self.split, texts='descriptions')
        return [dict(id=video_id, captions=[' '.join(descriptions[video_id])]) for video_id in ids]

    def _listed(self) -> list[str] | None:
        """The ids of the retrieval protocol's list; None where it is not there."""
        name = f'{self.split}_list.txt'
        if self.annotation_if_there(name) is None:
            print_log(f'{self.title}: no {name}, so every video of {self.split}_data.json', logger='current')
            return None
        return read_ids((where, _stem(line, where)) for where, line in read_lines(self.annotation(name)))


def _stem(name: str, where: str) -> str:
    return without_suffix(check_id(name, where), _SUFFIXES)
