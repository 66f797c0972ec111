"""The JSON files of Karpathy's splits (Karpathy and Fei-Fei, CVPR 2015), one form for three sets of images."""
from pathlib import Path
from typing import Any

from mmcma.datasets.annotations.reading import read_ids
from mmcma.datasets.annotations.texts import check_caption, check_id
from mmcma.utils.errors import DataError, cause, few, short

_SPLITS = ('train', 'restval', 'val', 'test')


def karpathy_items(data: Any, path: str | Path, dataset: str, splits: tuple[str, ...]) -> list[dict]:
    """The items of the images in ``splits``, in the file's order; ids are file names.

    Args:
        data: What the file holds.
        path: The file, for messages.
        dataset: What it calls its data set: ``'coco'``, ``'flickr30k'`` or ``'flickr8k'``.
        splits: Which of ``train``, ``restval``, ``val`` and ``test`` to take.

    Raises:
        DataError: When it is another file, or an image in it is wrong; the message names the image.
    """
    images = data.get('images') if isinstance(data, dict) else None
    if not isinstance(images, list):
        raise DataError(f"{path}: not a file of Karpathy's splits ({{'images': [...], 'dataset': {dataset!r}}})")
    if data.get('dataset', dataset) != dataset:
        raise DataError(f"{path}: holds {short(data['dataset'])}, not {dataset!r}; is it the right file?")
    items = [_item(image, f'{path}, image {number}', splits) for number, image in enumerate(images)]
    items = [item for item in items if item]
    read_ids((f'{path}, split {"+".join(splits)}', item['id']) for item in items)
    return items


def _item(image: Any, where: str, splits: tuple[str, ...]) -> dict:
    try:
        split, name, sentences = image['split'], image['filename'], image['sentences']
        folder = image.get('filepath', '')
        captions = [sentence['raw'] for sentence in sentences]
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{where}: images need split, filename and sentences, sentences need raw "
                        f'({cause(error)})') from error
    if split not in _SPLITS:
        raise DataError(f"{where}: split {short(split)} is none of {', '.join(_SPLITS)}")
    if split not in splits:
        return {}
    name = check_id(name, where)
    where = f'{where} ({few([name])})'
    if not captions:
        raise DataError(f'{where}: no sentences')
    return dict(
        id=name, path=f'{check_id(folder, where)}/{name}' if folder else name,
        captions=[check_caption(caption, f'{where}, sentence {number}') for number, caption in enumerate(captions)])
