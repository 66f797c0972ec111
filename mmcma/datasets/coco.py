"""MSCOCO captions (Lin et al., ECCV 2014; Chen et al., 2015) with Karpathy's splits."""
import os
from pathlib import Path
from typing import Any

from mmcma.datasets.annotations.karpathy import karpathy_items
from mmcma.datasets.annotations.media_folder import IMAGE_SUFFIXES
from mmcma.datasets.annotations.reading import read_json
from mmcma.datasets.annotations.texts import check_caption, check_id
from mmcma.datasets.retrieval_dataset import RetrievalDataset, SplitSize
from mmcma.registry import DATASETS
from mmcma.utils.errors import DataError, few, short


@DATASETS.register_module()
class COCO(RetrievalDataset):
    """123,287 photos with about five sentences each, read from either of the files in use.

    ``dataset_coco.json`` is Karpathy's; ``train`` is its train and restval. Where
    only ``coco_karpathy_{split}.json`` of BLIP is there, that one is read.
    ``ann_file`` may name a file of either form.
    """
    SPLITS = {'train': SplitSize(113287, 566747), 'val': SplitSize(5000, 25010), 'test': SplitSize(5000, 25010)}
    DATA_PREFIX = dict(ann='', visual='images')
    LAYOUT = ('{ann}/dataset_coco.json (or coco_karpathy_train.json, _val.json and _test.json)',
              '{visual}/train2014/COCO_train2014_000000000009.jpg and so on',
              '{visual}/val2014/COCO_val2014_000000000042.jpg and so on')
    SUFFIXES = IMAGE_SUFFIXES

    def read_items(self) -> list[dict]:
        path = self.caption_file(self._file_name())
        data = read_json(path)
        if isinstance(data, list):
            return _blip_items(data, path)
        return karpathy_items(data, path, 'coco', ('train', 'restval') if self.split == 'train' else (self.split,))

    def _file_name(self) -> str:
        blip = f'coco_karpathy_{self.split}.json'
        folder = Path(self.data_prefix['ann'])
        there = any(os.path.isfile(folder / name) for name in (blip, f'{blip}.gz'))
        ours = any(os.path.isfile(folder / name) for name in ('dataset_coco.json', 'dataset_coco.json.gz'))
        return blip if there and not ours else 'dataset_coco.json'


def _blip_items(rows: list, path: Path) -> list[dict]:
    """Rows are a photo with a list of captions, or in the training file a photo with one caption."""
    items: dict[str, dict] = {}
    for number, row in enumerate(rows):
        where = f'{path}, row {number}'
        image, captions = _image_and_captions(row, where)
        folder, _, name = image.rpartition('/')
        item_id = check_id(name, where)
        relative = f'{check_id(folder, where)}/{item_id}' if folder else item_id
        item = items.setdefault(item_id, dict(id=item_id, path=relative, captions=[]))
        if item['path'] != relative:
            raise DataError(f"{where}: {few([item_id])} lies in {short(image)} and in {short(item['path'])}")
        if item['captions'] and isinstance(row['caption'], list):
            raise DataError(f'{where}: {short(image)} comes twice')
        item['captions'] += [check_caption(caption, f'{where} ({few([item_id])})') for caption in captions]
    return list(items.values())


def _image_and_captions(row: Any, where: str) -> tuple[str, list]:
    image, captions = (row.get('image'), row.get('caption')) if isinstance(row, dict) else (None, None)
    if not isinstance(image, str) or not isinstance(captions, (str, list)):
        raise DataError(f"{where}: not {{'image': 'val2014/COCO_val2014_000000000042.jpg', 'caption': [...]}}")
    if not captions:
        raise DataError(f'{where} ({few([image])}): no caption')
    return image, [captions] if isinstance(captions, str) else captions
