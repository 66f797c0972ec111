"""MSVD, the Microsoft Research Video Description corpus (Chen and Dolan, ACL 2011)."""
from pathlib import Path

from mmcma.datasets.annotations.captions_by_id import captions_by_id
from mmcma.datasets.annotations.media_folder import VIDEO_SUFFIXES
from mmcma.datasets.annotations.reading import check_all_captioned, read_ids, read_json, read_lines
from mmcma.datasets.annotations.unpickling import load_plain_pickle
from mmcma.datasets.retrieval_dataset import RetrievalDataset, SplitSize
from mmcma.registry import DATASETS
from mmcma.utils.errors import DataError


@DATASETS.register_module()
class MSVD(RetrievalDataset):
    """1,970 short clips with about 40 sentences each, read from the files as distributed.

    Every caption of a test clip is a query (splits of Venugopalan et al., 2015).
    """
    SPLITS = {'train': SplitSize(1200, 48774), 'val': SplitSize(100, 4290), 'test': SplitSize(670, 27763)}
    DATA_PREFIX = dict(ann='', visual='videos')
    LAYOUT = ('{ann}/raw-captions.pkl (or .json)', '{ann}/train_list.txt', '{ann}/val_list.txt', '{ann}/test_list.txt',
              '{visual}/-4wsuPCjDBc_5_15.avi and so on')

    def read_items(self) -> list[dict]:
        path = self.caption_file('raw-captions.pkl', 'raw-captions.json')
        data = load_plain_pickle(path) if path.suffix == '.pkl' else read_json(path)
        captions = captions_by_id(data, path, VIDEO_SUFFIXES)
        if self.ann_file and self.annotation_if_there(f'{self.split}_list.txt') is None:
            return self._without_list(captions, path)
        ids = read_ids(read_lines(self.annotation(f'{self.split}_list.txt')))
        check_all_captioned(ids, captions, path, self.split)
        return [dict(id=video_id, captions=captions[video_id]) for video_id in ids]

    def _without_list(self, captions: dict[str, list[str]], path: Path) -> list[dict]:
        """All that a file holds, such as mmaction2's ``train.json``, if it is as much as the split."""
        standard = self.SPLITS[self.split].items
        if len(captions) != standard:
            raise DataError(f'{path}: {len(captions):,} videos, and {self.split!r} has {standard:,}; which are they? '
                            f'Put {self.split}_list.txt, with a video a line, beside it.')
        return [dict(id=video_id, captions=own) for video_id, own in captions.items()]
