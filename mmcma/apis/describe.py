"""What a model is, without building it."""
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmcma.apis.export import method_of
from mmcma.apis.media import frame_pipeline
from mmcma.checkpoints.adapter_folder import is_adapter_folder, read_adapter_config
from mmcma.checkpoints.config_data import missing_modules
from mmcma.checkpoints.sources import ModelSource, check_source, read_source
from mmcma.utils.errors import ConfigError, cause

_SHOWN = ['R@1', 'R@5', 'R@10', 'MdR', 'MnR']


def describe(source: str | Path) -> dict[str, str]:
    """Facts by name, in words, of all that :func:`~mmcma.checkpoints.sources.read_source` reads.

    Own parts need not be imported; the facts say which modules they come from.

    Raises:
        ConfigError: There is no such model, or its config is faulty.
        WeightsError: A checkpoint or folder cannot be read.
    """
    found = read_source(source)
    if not missing_modules(found.requires or []):
        check_source(found)
    try:
        return _facts(found, Path(source).expanduser())
    except (AttributeError, KeyError, TypeError) as error:
        raise ConfigError(f'{found.name} describes no retriever ({cause(error)}).') from error


def _facts(found: ModelSource, path: Path) -> dict[str, str]:
    config, checkpoint, name, requires = found
    missing = missing_modules(requires or [])
    backbone = {'name': ' + '.join(dict.fromkeys(_towers(config)))} if checkpoint is None else \
        checkpoint.get('backbone') or {}
    facts = {'model': name, 'base model': backbone.get('name') or 'unknown'}
    if backbone.get('fingerprint'):
        facts['its fingerprint'] = backbone['fingerprint']
    facts['requires'] = ', '.join(f'{module} (not imported: --import {module})' if module in missing else module
                                  for module in requires or [])
    facts['method'] = method_of(config) or ('none (zero-shot)' if checkpoint is None else 'head')
    facts['options'] = _options(config.model.get('neck') or {})
    facts['similarity'] = ' '.join(filter(None, [config.model.head.similarity.type,
                                                 _options(config.model.head.similarity)]))
    facts['frames'] = _frames(config)
    if checkpoint is not None:
        facts.update(_trained(checkpoint))
    for result, metrics in (read_adapter_config(path)['metrics'] if is_adapter_folder(path) else {}).items():
        for direction in ('t2v', 'v2t'):
            facts[f'{result} {direction}'] = '  '.join(f'{key} {metrics[f"{direction}/{key}"]:.1f}' for key in _SHOWN)
    return {key: value for key, value in facts.items() if value}


def _towers(config: Config) -> list[str]:
    towers = (config.model.vision_backbone, config.model.text_backbone)
    return [tower.get('pretrained') or tower.get('checkpoint') or 'from scratch' for tower in towers]


def _options(part: dict[str, Any]) -> str:
    return ', '.join(f'{key}={value!r}' for key, value in part.items() if key not in ('type', 'necks'))


def _frames(config: Config) -> str:
    try:
        steps = frame_pipeline(config)
    except ConfigError:
        return 'not read from files'
    return ' -> '.join(f'{step["type"]}({_options(step)})' for step in steps)


def _trained(checkpoint: dict[str, Any]) -> dict[str, str]:
    tensors, meta = checkpoint['state_dict'].values(), checkpoint.get('meta', {})
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    facts = {'trained': f'{sum(tensor.numel() for tensor in tensors):,} parameters, {len(tensors):,} tensors, '
                        f'{size / 1e6:.2f} MB'}
    if 'epoch' in meta:
        facts['training'] = f'epoch {meta["epoch"]}, iteration {meta["iter"]}'
    return facts
