"""How mmengine's runner reads checkpoints: through :func:`mmcma.checkpoints.plain_loading.load_plain`.

Its own loader turns to unrestricted unpickling, and so to whatever code a
file brings, where restricted unpickling fails.
"""
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import CheckpointLoader

from mmcma.checkpoints.plain_loading import load_plain
from mmcma.utils.errors import WeightsError


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_from_file(address: str, map_location: Any = None) -> Any:
    """:func:`load_plain` for mmengine's runner, which logs the name of this function."""
    return load_plain(address, map_location)


@CheckpointLoader.register_scheme(prefixes=('http://', 'https://'), force=True)
def load_from_web(address: str, map_location: Any = None) -> Any:
    """Fetches a file into PyTorch's cache and reads it like one that lies here."""
    path = Path(torch.hub.get_dir(), 'checkpoints', Path(address).name)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(address, str(path), progress=False)
    return load_plain(path, map_location)


@CheckpointLoader.register_scheme(prefixes=(
    'torchvision://', 'modelzoo://', 'openmmlab://', 'open-mmlab://', 'mmcls://', 'pavi://', r'(\S+\:)?s3://',
    r'(\S+\:)?petrel://'), force=True)
def load_from_elsewhere(address: str, map_location: Any = None) -> Any:
    """Refuses the other places that mmengine reads checkpoints from, without restriction.

    Raises:
        WeightsError: Always.
    """
    raise WeightsError(f'checkpoint {address!r}: only files and addresses of http and https are read; fetch it first.')
