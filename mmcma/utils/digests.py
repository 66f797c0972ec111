"""BLAKE2b digests, 32 hex characters each, of texts, files and tensors."""
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from mmcma.utils.timeouts import made_progress

_SIZE = 16  # bytes


def text_digest(text: str) -> str:
    """Digest of a text as UTF-8."""
    return hashlib.blake2b(text.encode(), digest_size=_SIZE).hexdigest()


def file_digest(path: Path) -> str:
    """Digest of a file's bytes, read in pieces.

    Raises:
        OSError: It cannot be read.
    """
    digest = hashlib.blake2b(digest_size=_SIZE)
    with open(path, 'rb') as file:
        while block := file.read(2**20):
            digest.update(block)
            made_progress()
    return digest.hexdigest()


def tensor_digests(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, str]:
    """Digest of each tensor's bytes, by name; it tells whether a tensor is still bit-identical."""
    return {name: _tensor_digest(tensor) for name, tensor in tensors}


def _tensor_digest(tensor: Tensor) -> str:
    return hashlib.blake2b(_raw(tensor), digest_size=_SIZE).hexdigest()


def _raw(tensor: Tensor) -> memoryview:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def state_digest(state: Mapping[str, Tensor]) -> str:
    """One digest over names, shapes and float32 values, in the order of the names.

    It is independent of the dtype that a tensor is stored in where float32 holds its values exactly.
    """
    digest = hashlib.blake2b(digest_size=_SIZE)
    for name, tensor in sorted(state.items()):
        digest.update(f'{name}{tuple(tensor.shape)}'.encode())
        digest.update(_raw(tensor.to('cpu', torch.float32)))
    return digest.hexdigest()
