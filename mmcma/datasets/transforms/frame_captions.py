"""Captions of the single frames of a clip, for training."""
import os

import numpy as np

from mmcma.datasets.annotations.reading import read_json
from mmcma.datasets.annotations.texts import check_caption
from mmcma.datasets.transforms.base import BaseTransform
from mmcma.registry import TRANSFORMS
from mmcma.utils.errors import DataError, argument_error, short


@TRANSFORMS.register_module()
class LoadFrameCaptions(BaseTransform):
    """Take the captions of a clip's frames from a file, such as another model wrote them.

    It stands after the step that loads the frames, in the pipeline of the training set.

    Required Keys: ``id``; ``captions``, of which there is one in training: of several, as where a data set is checked,
    all are looked up and the first one's are given; ``frame_mask``.

    Added Keys: ``frame_captions``, a list of T strings, empty where the frame is padding.

    Args:
        ann_file: A JSON file: an object with a list of captions, frame after frame, of each ``'<id>_<caption>'``, as
            DiscoVLA's public code has them, or of each ``'<id>'``. A list is as long as ``num_frames`` or, for a
            clip of fewer frames, as that clip.

    Raises:
        ConfigError: There is no such file.
        DataError: It is no such object; while training: a pair is not in it, or has another number of captions.
    """
    gives_frame_captions = True

    def __init__(self, *, ann_file: str) -> None:
        if not os.path.isfile(ann_file):
            raise argument_error(self, 'ann_file', ann_file, 'is no file: name the JSON file with captions of frames.')
        captions = read_json(ann_file)
        if not isinstance(captions, dict):
            raise DataError(f"{ann_file}: no object with lists of captions of frames by '<id>_<caption>' or '<id>'")
        self.ann_file = ann_file
        # Readers of data sets strip captions, and who wrote the file may not have.
        self._captions = {_without_blanks(name): own for name, own in captions.items()}

    def transform(self, results: dict) -> dict:
        found = [self._of_pair(results['id'], caption, results['frame_mask']) for caption in results['captions']]
        results['frame_captions'] = found[0]
        return results

    def _of_pair(self, item_id: str, caption: str, mask: np.ndarray) -> list[str]:
        names = f'{item_id}_{caption}', item_id
        for name in names:
            if (key := _without_blanks(name)) in self._captions:
                return self._fitted(self._captions[key], f'{self.ann_file}, {short(name)}', len(mask), int(mask.sum()))
        raise DataError(f'{self.ann_file}: no captions of frames of {short(names[0])}, nor of {short(names[1])}: '
                        'add them, or train on a list without this item (ann_file of the data set).')

    @staticmethod
    def _fitted(captions: object, where: str, num_frames: int, valid: int) -> list[str]:
        if not isinstance(captions, list) or len(captions) not in (num_frames, valid):
            given = f'{len(captions)} captions' if isinstance(captions, list) else f'{short(captions)} is no list'
            raise DataError(f'{where}: {given}; the clip has {valid} frames of num_frames={num_frames}: one caption '
                            'for each')
        checked = [check_caption(caption, where) for caption in captions[:valid]]
        return checked + [''] * (num_frames - valid)

    def __repr__(self) -> str:
        return f'LoadFrameCaptions(ann_file={self.ann_file!r})'


def _without_blanks(name: str) -> str:
    return ''.join(name.split())
