"""How mmengine's runner reads checkpoints: through :func:`mmcma.utils.plain_loading.load_plain`.

Its own loader turns to unrestricted unpickling, and so to whatever code a
file brings, where restricted unpickling fails.
"""
from typing import Any

from mmengine.runner import CheckpointLoader

from mmcma.utils.errors import WeightsError
from mmcma.utils.plain_loading import load_plain, load_plain_from_web


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_from_file(address: str, map_location: Any = None) -> Any:
    """:func:`load_plain` for mmengine's runner, which logs the name of this function."""
    return load_plain(address, map_location)


@CheckpointLoader.register_scheme(prefixes=('http://', 'https://'), force=True)
def load_from_web(address: str, map_location: Any = None) -> Any:
    """:func:`load_plain_from_web` for mmengine's runner."""
    return load_plain_from_web(address, map_location)


@CheckpointLoader.register_scheme(prefixes=(
    'torchvision://', 'modelzoo://', 'openmmlab://', 'open-mmlab://', 'mmcls://', 'pavi://', r'(\S+\:)?s3://',
    r'(\S+\:)?petrel://'), force=True)
def load_from_elsewhere(address: str, map_location: Any = None) -> Any:
    """Refuses the other places that mmengine reads checkpoints from, without restriction.

    Raises:
        WeightsError: Always.
    """
    raise WeightsError(f'checkpoint {address!r}: only files and addresses of http and https are read; fetch it first.')
