"""MSCOCO captions (Lin et al., ECCV 2014; Chen et al., 2015): Karpathy's splits, and its own."""
from pathlib import Path

from mmcma.datasets.annotations.captions_by_id import captions_by_id
from mmcma.datasets.annotations.karpathy import karpathy_items
from mmcma.datasets.annotations.media_folder import IMAGE_SUFFIXES
from mmcma.datasets.annotations.reading import read_ids, read_json
from mmcma.datasets.annotations.texts import check_caption, check_id
from mmcma.datasets.retrieval_dataset import RetrievalDataset, SplitSize
from mmcma.registry import DATASETS
from mmcma.utils.errors import DataError, cause


@DATASETS.register_module()
class COCO(RetrievalDataset):
    """123,287 photos with about five sentences each, read from any of the files in use.

    Splits:
        train, val, test: Karpathy's, of ``dataset_coco.json`` (``train`` is its train and restval) or,
            where only those are there, of BLIP's ``coco_karpathy_{split}.json``.
        train2014, val2014, train2017, val2017: COCO's own, of ``captions_{split}.json``; their
            photos are others than Karpathy's.

    ``ann_file`` may name a file of any form.
    """
    SPLITS = {'train': SplitSize(113287, 566747), 'val': SplitSize(5000, 25010), 'test': SplitSize(5000, 25010),
              'train2014': SplitSize(82783, 414113), 'val2014': SplitSize(40504, 202654),
              'train2017': SplitSize(118287, 591753), 'val2017': SplitSize(5000, 25014)}
    DATA_PREFIX = dict(ann='', visual='images')
    LAYOUT = ('{ann}/dataset_coco.json (or coco_karpathy_train.json, _val.json and _test.json; for val2017 and the '
              'like captions_val2017.json)', '{visual}/train2014/COCO_train2014_000000000009.jpg and so on',
              '{visual}/val2014/COCO_val2014_000000000042.jpg and so on')
    SUFFIXES = IMAGE_SUFFIXES

    def read_items(self) -> list[dict]:
        own = self.split[-4:].isdigit()
        path = self.caption_file(*([f'captions_{self.split}.json'] if own else
                                   ['dataset_coco.json', f'coco_karpathy_{self.split}.json']))
        data = read_json(path)
        if isinstance(data, dict) and 'annotations' in data:
            return self._own_items(data, path)
        if own:
            raise DataError(f"{path}: not COCO's own file, {{'images': [...], 'annotations': [...]}}; with Karpathy's, "
                            "the split is 'train', 'val' or 'test'")
        if isinstance(data, list):
            return [dict(id=name, captions=captions) for name, captions in captions_by_id(data, path).items()]
        return karpathy_items(data, path, 'coco', ('train', 'restval') if self.split == 'train' else (self.split,))

    def _own_items(self, data: dict, path: Path) -> list[dict]:
        """Items of the photos and captions of one of COCO's own files."""
        if not self.split[-4:].isdigit():
            raise DataError(f"{path}: COCO's own file, whose photos are others than Karpathy's of {self.split!r}: set "
                            "split='val2017' or what its name says, or take dataset_coco.json")
        try:
            names = {image['id']: check_id(image['file_name'], f'{path}, image {number}')
                     for number, image in enumerate(data['images'])}
            rows = [(names[row['image_id']], row['caption'], f"{path}, annotation {row['id']}")
                    for row in data['annotations']]
        except (KeyError, TypeError) as error:
            raise DataError(f"{path}: 'images' need id and file_name, 'annotations' id, image_id (of an image) and "
                            f'caption ({cause(error)})') from error
        captions: dict[str, list[str]] = {name: [] for name in read_ids((str(path), name) for name in names.values())}
        for name, caption, where in rows:
            captions[name].append(check_caption(caption, where))
        return [dict(id=name, captions=own) for name, own in captions.items() if own]
