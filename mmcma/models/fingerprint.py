"""Telling pretrained backbones apart by their tensors."""
import hashlib
from collections.abc import Mapping

import torch

from mmcma.models.backbones.tower import Tower


def fingerprint(towers: Mapping[str, Tower]) -> str:
    """Digest of the towers' pretrained tensors.

    It is independent of the dtype they are stored in where float32 holds it exactly.

    Args:
        towers: Name -> tower; names and state-dict keys count.

    Returns:
        32 hex characters of BLAKE2b over names, shapes and float32 bytes.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part, tower in sorted(towers.items()):
        for name, tensor in sorted(tower.pretrained_state().items()):
            digest.update(f'{part}.{name}{tuple(tensor.shape)}'.encode())
            digest.update(tensor.detach().to('cpu', torch.float32).contiguous().numpy())
    return digest.hexdigest()
