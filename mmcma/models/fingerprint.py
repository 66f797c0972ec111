"""Telling pretrained backbones apart by their tensors."""
import hashlib
from collections.abc import Mapping

import torch
from torch import nn


def fingerprint(towers: Mapping[str, nn.Module]) -> str:
    """Digest of the towers' tensors, independent of the dtype they are stored in where float32 holds it exactly.

    Args:
        towers: Name -> module; names and state-dict keys count.

    Returns:
        32 hex characters of BLAKE2b over names, shapes and float32 bytes.
    """
    digest = hashlib.blake2b(digest_size=16)
    for tower, module in sorted(towers.items()):
        for name, tensor in sorted(module.state_dict().items()):
            digest.update(f'{tower}.{name}{tuple(tensor.shape)}'.encode())
            digest.update(tensor.detach().to('cpu', torch.float32).contiguous().numpy())
    return digest.hexdigest()
