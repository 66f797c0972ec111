"""Values that stand in one place of a config and count for all three data loaders."""
import copy
from collections.abc import Iterator

from mmengine.config import Config

from mmcma.utils.errors import ConfigError, short

SHARED = ('pipeline', 'num_workers')
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def share(cfg: Config) -> None:
    """Gives every loader what it does not say itself.

    A data set without a ``pipeline`` takes the config's top-level ``pipeline``, a
    loader without ``num_workers`` the top-level ``num_workers``. So the number of
    frames or the size of an image is changed in one place.
    """
    for name, node in _takers(cfg):
        if name in cfg and name not in node:
            node[name] = copy.deepcopy(cfg[name])


def check_shared_option(cfg: Config, key: str, value) -> None:
    """Refuses an option on a shared value that no loader takes.

    Args:
        cfg: Before :func:`share`.
        key: Dotted, such as ``pipeline.0.num_frames``.
        value: Its new value, for the error.

    Raises:
        ConfigError: Every loader says that value itself.
    """
    shared = key.split('.')[0]
    if not any(name == shared and name not in node for name, node in _takers(cfg)):
        place = f'train_dataloader.{"dataset." if shared == "pipeline" else ""}{key}'
        raise ConfigError(f'--cfg-options {key}={short(value)} has no effect: in {cfg.filename} every loader has '
                          f'its own {shared}; set {place} and so on.')


def _takers(cfg: Config) -> Iterator[tuple[str, dict]]:
    """The name of each shared value with every node that could take it."""
    for loader in filter(None, map(cfg.get, LOADERS)):
        yield 'num_workers', loader
        dataset = loader.get('dataset')
        while isinstance(dataset, dict) and 'dataset' in dataset:  # wrappers, such as RepeatDataset
            dataset = dataset['dataset']
        if isinstance(dataset, dict):
            yield 'pipeline', dataset
