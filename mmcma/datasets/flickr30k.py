"""Flickr30K (Young et al., TACL 2014) with Karpathy's splits."""
from pathlib import Path

from mmcma.datasets.annotations.captions_by_id import captions_by_id
from mmcma.datasets.annotations.karpathy import karpathy_items
from mmcma.datasets.annotations.media_folder import IMAGE_SUFFIXES, without_suffix
from mmcma.datasets.annotations.photo_captions import photo_captions
from mmcma.datasets.annotations.reading import check_all_captioned, read_ids, read_json, read_lines
from mmcma.datasets.retrieval_dataset import RetrievalDataset, SplitSize
from mmcma.registry import DATASETS
from mmcma.utils.errors import DataError

_KARPATHY, _TEXTS = 'dataset_flickr30k.json', ('results_20130124.token', 'results.csv')


@DATASETS.register_module()
class Flickr30k(RetrievalDataset):
    """31,014 photos with five sentences each, read from any of the files in use.

    ``dataset_flickr30k.json`` is Karpathy's, ``flickr30k_{split}.json`` are BLIP's. The captions' own files,
    ``results_20130124.token`` and ``results.csv``, know no splits and need a list beside them, ``{split}.txt``.
    """
    SPLITS = {'train': SplitSize(29000, 145000), 'val': SplitSize(1014, 5070), 'test': SplitSize(1000, 5000)}
    DATA_PREFIX = dict(ann='', visual='images')
    LAYOUT = ('{ann}/dataset_flickr30k.json (or flickr30k_train.json, _val.json and _test.json; or '
              'results_20130124.token or results.csv with train.txt, val.txt and test.txt)',
              '{visual}/1000092795.jpg and so on')
    SUFFIXES = IMAGE_SUFFIXES

    def read_items(self) -> list[dict]:
        path = self.caption_file(_KARPATHY, f'flickr30k_{self.split}.json', *_TEXTS)
        if not path.name.removesuffix('.gz').endswith('.json'):
            return self._listed(path)
        data = read_json(path)
        if isinstance(data, list):
            return [dict(id=name, captions=captions) for name, captions in captions_by_id(data, path).items()]
        return karpathy_items(data, path, 'flickr30k', (self.split,))

    def _listed(self, path: Path) -> list[dict]:
        if self.annotation_if_there(f'{self.split}.txt') is None:
            raise DataError(f'{path} knows no splits: put {self.split}.txt, with a photo a line, or {_KARPATHY} '
                            'beside it.')
        lines = read_lines(self.annotation(f'{self.split}.txt'))
        ids = read_ids((where, f'{without_suffix(line.strip(), IMAGE_SUFFIXES)}.jpg') for where, line in lines)
        captions = photo_captions(path)
        check_all_captioned(ids, captions, path, self.split, items='photos')
        return [dict(id=name, captions=captions[name]) for name in ids]
