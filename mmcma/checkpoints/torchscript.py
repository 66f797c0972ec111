"""The tensors of a TorchScript archive, without running its program.

``torch.jit.load`` compiles the archive's code and calls every ``__setstate__`` in it, which may write files.
"""
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

import torch


class _Module:
    """An object of the archive: its attributes are plain data, tensors and such objects."""

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):  # else it is for a method of the archive's program
            vars(self).update(state)


def is_torchscript(path: Path) -> bool:
    """Whether a file is an archive of ``torch.jit.save``."""
    return is_zipfile(path) and any('/code/' in name for name in ZipFile(path).namelist())


def read_torchscript(path: Path) -> dict[str, torch.Tensor]:
    """Name -> tensor of an archive: its module's parameters and buffers, and other tensors that it keeps.

    Raises:
        pickle.UnpicklingError: It holds other objects than modules, tensors and plain data.
        RuntimeError: It cannot be read.
    """
    plain = io.BytesIO()
    with ZipFile(path) as archive, ZipFile(plain, 'w') as data:
        for name in archive.namelist():
            inside = name.partition('/')[2]
            if inside in ('data.pkl', 'version', 'byteorder') or inside.startswith('data/'):
                data.writestr(f'archive/{inside}', archive.read(name))
    plain.seek(0)
    names = torch.serialization.get_unsafe_globals_in_checkpoint(plain)
    plain.seek(0)
    # By these names the archive means classes of its program and typed lists; here they mean what does nothing.
    known = [(_Module, name) for name in names if name.startswith('__torch__.')]
    known += [(list, f'torch.jit._pickle.build_{kind}list') for kind in ('int', 'double', 'bool', 'tensor')]
    with torch.serialization.safe_globals(known):
        return dict(_tensors(torch.load(plain, map_location='cpu', weights_only=True)))


def _tensors(node: Any, prefix: str = '') -> Iterator[tuple[str, torch.Tensor]]:
    for name, child in vars(node).items():
        if isinstance(child, torch.Tensor):
            yield f'{prefix}{name}', child.detach()
        elif isinstance(child, _Module):
            yield from _tensors(child, f'{prefix}{name}.')
