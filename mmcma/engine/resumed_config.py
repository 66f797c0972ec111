"""What differs between the config of a run and that of the checkpoint it goes on from."""
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from mmcma.checkpoints.config_data import parse_config_text, plain_config
from mmcma.config import RUNNER_KEYS
from mmcma.config.places import dotted, entries
from mmcma.utils.errors import ConfigError, short

#: Where a run is and what it says on the way; not what it computes.
_APART = ('work_dir', 'load_from', 'resume', 'launcher', 'log_level', 'log_processor', 'experiment_name', 'env_cfg',
          'visualizer', 'custom_imports', 'default_scope', 'randomness')
#: What the state in a checkpoint belongs to: it cannot be another for the rest of a run.
_FIXED = ('model', 'strategy', 'optim_wrapper.type', 'optim_wrapper.constructor', 'optim_wrapper.optimizer.type',
          'optim_wrapper.paramwise_cfg', 'train_cfg.type', 'train_cfg.by_epoch', 'train_dataloader.sampler',
          'train_dataloader.batch_sampler')
#: Of these, what changes no weight's meaning; whether a pretrained model is the same one, its fingerprint says.
_FREE = ('model.precision', 'model.micro_batch_size', 'model.vision_backbone.pretrained',
         'model.text_backbone.pretrained')
_SHOWN = 20


def changes_since(checkpoint: Mapping[str, Any], cfg: Config) -> list[str]:
    """What a config says otherwise than the one a checkpoint was written under, a line for each value.

    Args:
        checkpoint: As it was read; without a config, or with one that is a program, nothing is compared.
        cfg: The run's config.

    Raises:
        ConfigError: A value differs that the state in the checkpoint depends on.
    """
    before = _config_of(checkpoint)
    if before is None:
        return ['the checkpoint holds no config that can be compared.']
    old, new = (_values(config) for config in (before, plain_config(cfg.to_dict())))
    changed = [path for path in dict.fromkeys([*new, *old]) if old.get(path, _ABSENT) != new.get(path, _ABSENT)]
    for path in changed:
        if _within(path, _FIXED) and not _within(path, _FREE):
            raise ConfigError(f'resume: {path}={_shown(new, path)} was {_shown(old, path)} when the checkpoint was '
                              'written: model, kind of optimizer and order of the data stay through a run. Put it '
                              'back, or begin a new run from these weights, with load_from and without resume.')
    lines = [f'{path}: {_shown(old, path)} -> {_shown(new, path)}' for path in changed]
    return lines if len(lines) <= _SHOWN else [*lines[:_SHOWN], f'and {len(lines) - _SHOWN} more']


_ABSENT = object()


def _config_of(checkpoint: Mapping[str, Any]) -> Mapping[str, Any] | None:
    content = checkpoint['meta'].get('cfg')
    if isinstance(content, str):
        try:
            content = parse_config_text(content)
        except ValueError:
            return None
    return content if isinstance(content, Mapping) else None


def _values(config: Mapping[str, Any]) -> dict[str, Any]:
    """Path -> value of all that a run is computed by; every ``type`` first, which explains the other differences."""
    used = {key: part for key, part in config.items() if key in RUNNER_KEYS and key not in _APART}
    found = {dotted(keys): list(value) if isinstance(value, tuple) else value for keys, value in entries(used)
             if not isinstance(value, (Mapping, list, tuple)) or not value}
    return dict(sorted(found.items(), key=lambda entry: not entry[0].endswith('.type')))


def _within(path: str, places: tuple[str, ...]) -> bool:
    return any(f'{path}.'.startswith(f'{place}.') for place in places)


def _shown(values: Mapping[str, Any], path: str) -> str:
    return short(values[path], 60) if path in values else 'absent'
