"""Flickr30K (Young et al., TACL 2014) with Karpathy's splits."""
from mmcma.datasets.annotations.karpathy import karpathy_items
from mmcma.datasets.annotations.media_folder import IMAGE_SUFFIXES
from mmcma.datasets.annotations.reading import read_json
from mmcma.datasets.retrieval_dataset import RetrievalDataset, SplitSize
from mmcma.registry import DATASETS


@DATASETS.register_module()
class Flickr30k(RetrievalDataset):
    """31,014 photos with five sentences each, read from Karpathy's file."""
    SPLITS = {'train': SplitSize(29000, 145000), 'val': SplitSize(1014, 5070), 'test': SplitSize(1000, 5000)}
    DATA_PREFIX = dict(ann='', visual='images')
    LAYOUT = ('{ann}/dataset_flickr30k.json', '{visual}/1000092795.jpg and so on')
    SUFFIXES = IMAGE_SUFFIXES

    def read_items(self) -> list[dict]:
        path = self.caption_file('dataset_flickr30k.json')
        return karpathy_items(read_json(path), path, 'flickr30k', (self.split,))
