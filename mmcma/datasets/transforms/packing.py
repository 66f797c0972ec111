"""From results to what the model receives."""
from collections.abc import Sequence

import torch

from mmcma.datasets.transforms.base import BaseTransform
from mmcma.registry import TRANSFORMS
from mmcma.structures import RetrievalSample
from mmcma.utils.errors import ConfigError


@TRANSFORMS.register_module()
class PackRetrievalInputs(BaseTransform):
    """Pack frames, captions and names.

    Required Keys: ``frames``, uint8 ``(T, 3, H, W)``; ``frame_mask``; ``id``,
    ``item_index``, ``path``, ``captions``, optionally ``caption_kinds`` and
    ``frame_captions``.

    Returns ``dict(inputs=uint8 Tensor (T, 3, H, W), data_samples=RetrievalSample)``.

    Args:
        meta_keys: Further keys to keep as meta information of the sample.
    """

    def __init__(self, *, meta_keys: Sequence[str] = ()) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict:
        absent = [key for key in self.meta_keys if key not in results]
        if absent:
            raise ConfigError(f'PackRetrievalInputs: meta_keys {absent} are not among the results '
                              f'{sorted(results)}')
        sample = RetrievalSample(metainfo={key: results[key] for key in self.meta_keys})
        sample.item_id = results['id']
        for key in ('item_index', 'path', 'captions'):
            setattr(sample, key, results[key])
        for key in ('caption_kinds', 'frame_captions'):
            if key in results:
                setattr(sample, key, results[key])
        sample.frame_mask = torch.from_numpy(results['frame_mask'])
        return dict(inputs=torch.from_numpy(results['frames']), data_samples=sample)

    def __repr__(self) -> str:
        return f'PackRetrievalInputs(meta_keys={self.meta_keys})'
