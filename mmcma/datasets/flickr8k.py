"""Flickr8k (Hodosh, Young and Hockenmaier, JAIR 2013)."""
from mmcma.datasets.annotations.karpathy import karpathy_items
from mmcma.datasets.annotations.media_folder import IMAGE_SUFFIXES
from mmcma.datasets.annotations.photo_captions import photo_captions
from mmcma.datasets.annotations.reading import check_all_captioned, read_ids, read_json, read_lines
from mmcma.datasets.retrieval_dataset import RetrievalDataset, SplitSize
from mmcma.registry import DATASETS


@DATASETS.register_module()
class Flickr8k(RetrievalDataset):
    """8,000 photos with five sentences each, read from its own text files, or ``captions.txt`` and its lists.

    With ``ann_file='dataset_flickr8k.json'``, Karpathy's file, that one alone is
    read; the splits are the same, and its ``val`` is ``dev``.
    """
    SPLITS = {'train': SplitSize(6000, 30000), 'dev': SplitSize(1000, 5000), 'test': SplitSize(1000, 5000)}
    DATA_PREFIX = dict(ann='', visual='images')
    LAYOUT = ('{ann}/Flickr8k.token.txt (or captions.txt)', '{ann}/Flickr_8k.trainImages.txt',
              '{ann}/Flickr_8k.devImages.txt', '{ann}/Flickr_8k.testImages.txt',
              '{visual}/1000268201_693b08cb0e.jpg and so on')
    SUFFIXES = IMAGE_SUFFIXES

    def read_items(self) -> list[dict]:
        if self.ann_file.removesuffix('.gz').endswith('.json'):
            path = self.caption_file('')
            return karpathy_items(read_json(path), path, 'flickr8k', ('val' if self.split == 'dev' else self.split,))
        ids = read_ids(read_lines(self.annotation(f'Flickr_8k.{self.split}Images.txt')))
        path = self.caption_file('Flickr8k.token.txt', 'captions.txt')
        captions = photo_captions(path)
        check_all_captioned(ids, captions, path, self.split, items='photos')
        return [dict(id=name, captions=captions[name]) for name in ids]
