"""Flickr8k (Hodosh, Young and Hockenmaier, JAIR 2013)."""
from mmcma.datasets.annotations.karpathy import karpathy_items
from mmcma.datasets.annotations.media_folder import IMAGE_SUFFIXES
from mmcma.datasets.annotations.reading import check_all_captioned, read_ids, read_json, read_lines
from mmcma.datasets.annotations.texts import check_caption
from mmcma.datasets.retrieval_dataset import RetrievalDataset, SplitSize
from mmcma.registry import DATASETS
from mmcma.utils.errors import DataError, short


@DATASETS.register_module()
class Flickr8k(RetrievalDataset):
    """8,000 photos with five sentences each, read from its own text files.

    With ``ann_file='dataset_flickr8k.json'``, Karpathy's file, that one alone is
    read; the splits are the same, and its ``val`` is ``dev``.
    """
    SPLITS = {'train': SplitSize(6000, 30000), 'dev': SplitSize(1000, 5000), 'test': SplitSize(1000, 5000)}
    DATA_PREFIX = dict(ann='', visual='images')
    LAYOUT = ('{ann}/Flickr8k.token.txt', '{ann}/Flickr_8k.trainImages.txt', '{ann}/Flickr_8k.devImages.txt',
              '{ann}/Flickr_8k.testImages.txt', '{visual}/1000268201_693b08cb0e.jpg and so on')
    SUFFIXES = IMAGE_SUFFIXES

    def read_items(self) -> list[dict]:
        if self.ann_file.removesuffix('.gz').endswith('.json'):
            path = self.caption_file('')
            return karpathy_items(read_json(path), path, 'flickr8k', ('val' if self.split == 'dev' else self.split,))
        ids = read_ids(read_lines(self.annotation(f'Flickr_8k.{self.split}Images.txt')))
        path = self.caption_file('Flickr8k.token.txt')
        captions: dict[str, list[str]] = {name: [] for name in ids}
        seen: dict[str, str] = {}
        for where, line in read_lines(path):
            key, tab, caption = line.partition('\t')
            name, mark, _ = key.rpartition('#')
            if not tab or not mark:
                raise DataError(f"{where}: {short(line)} is not 'photo.jpg#0<TAB>caption'")
            if seen.setdefault(key, where) != where:
                raise DataError(f'{where}: {short(key)} comes twice (first in {seen[key]})')
            if name in captions:
                captions[name].append(check_caption(caption, where))
        check_all_captioned(ids, captions, path, self.split, items='photos')
        return [dict(id=name, captions=captions[name]) for name in ids]
