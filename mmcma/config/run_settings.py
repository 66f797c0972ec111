"""Settings of a run that mmengine takes and that cannot work, found before anything is built."""
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from mmengine.config import Config

from mmcma.utils.errors import ConfigError, short

#: The package that each of mmengine's visualization backends writes with.
_BACKENDS = {'AimVisBackend': 'aim', 'ClearMLVisBackend': 'clearml', 'DVCLiveVisBackend': 'dvclive',
             'MLflowVisBackend': 'mlflow', 'NeptuneVisBackend': 'neptune', 'TensorboardVisBackend': 'tensorboard',
             'WandbVisBackend': 'wandb'}


def check_run_settings(cfg: Config) -> None:
    """Checks that there is a model, seed, length of training, optimizer wrapper and visualization backends.

    Raises:
        ConfigError: One of them cannot be; the message gives file, key, value and fix.
    """
    for fault in _faults(cfg):
        raise ConfigError(f'{cfg.filename or "config"}: {fault}')


def set_report(cfg: Config, **options: Any) -> None:
    """Gives the config's ``RetrievalReportHook`` these options; a config without one gets one."""
    hooks = cfg.get('custom_hooks') or []
    if all(hook['type'] != 'RetrievalReportHook' for hook in hooks):
        hooks = [*hooks, dict(type='RetrievalReportHook')]
    cfg.custom_hooks = [dict(hook, **options) if hook['type'] == 'RetrievalReportHook' else hook for hook in hooks]


def _faults(cfg: Config) -> Iterator[str]:
    if not cfg.get('model'):
        yield "there is no model: add one, or a _base_ that has one, such as 'mmcma::_base_/models/clip_tiny.py'."
    seed = (cfg.get('randomness') or {}).get('seed')
    if seed is not None and not (_is_int(seed) and 0 <= seed < 2**32):
        yield f'randomness.seed={short(seed)} (or --seed) must be a whole number from 0 to {2**32 - 1}.'
    train = cfg.get('train_cfg') or {}
    for key in ('max_epochs', 'max_iters'):
        if key in train and not (_is_int(train[key]) and train[key] >= 1):
            yield (f'train_cfg.{key}={short(train[key])} must be a whole number, at least 1; to measure the model as '
                   'it is, use mmcma test without a checkpoint.')
    kind = (cfg.get('optim_wrapper') or {}).get('type')
    if kind in ('AmpOptimWrapper', 'ApexOptimWrapper'):
        yield (f"optim_wrapper.type={kind!r} has no effect on this model, which says its precision itself: set "
               "model.precision='bf16' and optim_wrapper.type='OptimWrapper'.")
    for number, backend in enumerate((cfg.get('visualizer') or {}).get('vis_backends') or []):
        package = _BACKENDS.get(backend.get('type'))
        if package is not None and find_spec(package) is None:
            yield (f'visualizer.vis_backends.{number}.type={backend["type"]!r} needs the package {package}, which is '
                   f'not installed: pip install {package}, or take the backend out.')


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
