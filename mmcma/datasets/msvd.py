"""MSVD, the Microsoft Research Video Description corpus (Chen and Dolan, ACL 2011)."""
from typing import Any

from mmcma.datasets.annotations.reading import check_all_captioned, read_ids, read_lines
from mmcma.datasets.annotations.texts import check_caption, one_name
from mmcma.datasets.annotations.unpickling import load_plain_pickle
from mmcma.datasets.retrieval_dataset import RetrievalDataset, SplitSize
from mmcma.registry import DATASETS
from mmcma.utils.errors import DataError, short


@DATASETS.register_module()
class MSVD(RetrievalDataset):
    """1,970 short clips with about 40 sentences each, read from the files as distributed.

    Every caption of a test clip is a query (splits of Venugopalan et al., 2015).
    """
    SPLITS = {'train': SplitSize(1200, 48774), 'val': SplitSize(100, 4290), 'test': SplitSize(670, 27763)}
    DATA_PREFIX = dict(ann='', visual='videos')
    LAYOUT = ('{ann}/raw-captions.pkl', '{ann}/train_list.txt', '{ann}/val_list.txt', '{ann}/test_list.txt',
              '{visual}/-4wsuPCjDBc_5_15.avi and so on')

    def read_items(self) -> list[dict]:
        ids = read_ids(read_lines(self.annotation(f'{self.split}_list.txt')))
        path = self.caption_file('raw-captions.pkl')
        captions = load_plain_pickle(path)
        if not isinstance(captions, dict):
            raise DataError(f'{path}: holds a {type(captions).__name__}, not a dict of captions by video id')
        captions = {one_name(key) if isinstance(key, str) else key: own for key, own in captions.items()}
        check_all_captioned(ids, captions, path, self.split)
        return [dict(id=video_id, captions=_sentences(captions[video_id], f'{path}, {short(video_id)}'))
                for video_id in ids]


def _sentences(token_lists: Any, where: str) -> list[str]:
    if not isinstance(token_lists, (list, tuple)):
        raise DataError(f'{where}: {type(token_lists).__name__} where a list of captions should be')
    sentences = []
    for number, tokens in enumerate(token_lists):
        place = f'{where}, caption {number}'
        if not isinstance(tokens, (list, tuple)) or not all(isinstance(token, str) for token in tokens):
            raise DataError(f'{place}: {short(tokens)} is not a list of words')
        sentences.append(check_caption(' '.join(tokens), place))
    return sentences
