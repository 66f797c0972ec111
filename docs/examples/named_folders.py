"""A data set: images in folders that are named by what they show, such as ``train/a_dog_runs/01.jpg``."""
from pathlib import Path

from mmcma.datasets import RetrievalDataset
from mmcma.datasets.annotations.media_folder import IMAGE_SUFFIXES
from mmcma.registry import DATASETS
from mmcma.utils.errors import DataError


@DATASETS.register_module()
class NamedFolders(RetrievalDataset):
    """Each folder below ``data_root/<split>`` is an item: its first image, with the folder's name as caption.

    Args:
        split: Folder within ``data_root``.
        **kwargs: See ``RetrievalDataset``.
    """

    def load_data_list(self) -> list[dict]:
        root = Path(self.data_root, self.split)
        if not root.is_dir():
            raise DataError(f'{root} is no folder; {self.title} expects {root}/a_dog_runs/01.jpg and so on.')
        items = []
        for folder in sorted(path for path in root.iterdir() if path.is_dir()):
            images = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
            if images:
                items.append(dict(id=folder.name, path=str(images[0]), captions=[folder.name.replace('_', ' ')]))
        return items
