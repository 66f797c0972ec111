"""VATEX (Wang et al., ICCV 2019)."""
from mmcma.datasets.annotations.captions_by_id import captions_by_id
from mmcma.datasets.annotations.media_folder import VIDEO_SUFFIXES
from mmcma.datasets.annotations.reading import check_all_captioned, read_ids, read_json, read_lines
from mmcma.datasets.retrieval_dataset import RetrievalDataset, SplitSize
from mmcma.registry import DATASETS


@DATASETS.register_module()
class VATEX(RetrievalDataset):
    """Clips of 10 s with ten English sentences each, read from the files as distributed, or from CLIP2Video's one.

    The captions of VATEX's own test set were not public when the retrieval
    protocol was made (Chen et al., CVPR 2020): it halves the 3,000 validation
    clips by ``val_list.txt`` and ``test_list.txt``. These two share no clip.
    ``test1k5_sec_list.txt``, which is found beside them, is another random 1,500
    of the same 3,000: 776 of them are in ``val_list.txt``, so it is no test set
    for a checkpoint chosen on ``val``, and is not read.
    """
    SPLITS = {'train': SplitSize(25991, 259910), 'val': SplitSize(1500, 15000), 'test': SplitSize(1500, 15000)}
    DATA_PREFIX = dict(ann='', visual='videos')
    LAYOUT = ('{ann}/vatex_training_v1.0.json and vatex_validation_v1.0.json (or vatex_data.json)',
              '{ann}/train_list.txt', '{ann}/val_list.txt', '{ann}/test_list.txt',
              '{visual}/Ptf_2VRj-V0_000122_000132.mp4 and so on')

    def read_items(self) -> list[dict]:
        ids = read_ids(read_lines(self.annotation(f'{self.split}_list.txt')))
        part = 'training' if self.split == 'train' else 'validation'
        path = self.caption_file(f'vatex_{part}_v1.0.json', 'vatex_data.json')
        captions = captions_by_id(read_json(path), path, VIDEO_SUFFIXES)
        check_all_captioned(ids, captions, path, self.split)
        return [dict(id=name, captions=captions[name]) for name in ids]
