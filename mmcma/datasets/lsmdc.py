"""LSMDC, the Large Scale Movie Description Challenge of 2016 (Rohrbach et al., IJCV 2017)."""
from mmcma.datasets.annotations.reading import read_lines
from mmcma.datasets.annotations.texts import check_caption, check_id
from mmcma.datasets.retrieval_dataset import RetrievalDataset, SplitSize
from mmcma.registry import DATASETS
from mmcma.utils.errors import DataError, short

_FILES = {'train': 'LSMDC16_annos_training.csv', 'val': 'LSMDC16_annos_val.csv',
          'test': 'LSMDC16_challenge_1000_publictect.csv'}
_COLUMNS = ('clip', 'start_aligned', 'end_aligned', 'start_extracted', 'end_extracted', 'sentence')


@DATASETS.register_module()
class LSMDC(RetrievalDataset):
    """Clips of 200 movies with mostly one sentence each, read from the files as distributed.

    The files are called ``.csv`` but are separated by tabs, without header and
    without quoting. A clip that comes with several sentences is one item. The
    files of the clips are cut already, so the times in the table, which count
    from the start of the movie, are not used.
    """
    # The published 101,079 are lines of the training file; where clips come twice, a warning says the items are fewer.
    SPLITS = {'train': SplitSize(101079, 101079), 'val': SplitSize(7408, 7408), 'test': SplitSize(1000, 1000)}
    DATA_PREFIX = dict(ann='', visual='videos')
    LAYOUT = ('{ann}/LSMDC16_annos_training.csv', '{ann}/LSMDC16_annos_val.csv',
              '{ann}/LSMDC16_challenge_1000_publictect.csv',
              '{visual}/0001_American_Beauty/0001_American_Beauty_00.00.51.926-00.00.54.129.avi and so on')

    def read_items(self) -> list[dict]:
        captions: dict[str, list[str]] = {}
        for where, line in read_lines(self.caption_file(_FILES[self.split])):
            cells = line.split('\t')
            if len(cells) != len(_COLUMNS):
                raise DataError(f'{where}: {len(cells)} cells separated by tabs, not the {len(_COLUMNS)} '
                                f"({', '.join(_COLUMNS)}): {short(line)}")
            clip = check_id(cells[0], where)
            if not clip.rpartition('_')[0]:
                raise DataError(f'{where}: {short(clip)} is not a clip (its movie, _ and its times)')
            captions.setdefault(clip, []).append(check_caption(cells[-1], where))
        # One folder per movie, whose name is the clip's without the times.
        return [dict(id=clip, path=f"{clip.rpartition('_')[0]}/{clip}", captions=sentences)
                for clip, sentences in captions.items()]
