"""An adapter in the form that the Hugging Face Hub knows: safetensors, a config and a model card; no pickle.

``adapter_config.json`` holds ``format_version``, ``base_model_name_or_path``,
``base_model_fingerprint``, ``method``, ``metrics`` and the whole ``config``.
Such a folder may come from anywhere, and reading one runs nothing that it
names: a type in its config must be a registered one.
"""
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from mmcma.utils.errors import ConfigError, WeightsError

CONFIG, WEIGHTS, CARD = 'adapter_config.json', 'adapter_model.safetensors', 'README.md'
FORMAT_VERSION = 1

# The registry of mmengine imports whatever a dotted name leads to.
_SAFE_TYPE = re.compile(r'(mmcma\.)?\w+|mmpretrain\.(VisionTransformer|ViTEVA02|BEiTViT)')


def is_adapter_folder(path: Path) -> bool:
    """Whether the folder is one that :func:`write_adapter_folder` writes, whole or damaged."""
    return os.path.isfile(path / CONFIG)  # also of a name too long for a file


def check_new_folder(folder: Path) -> None:
    """Refuses a folder that holds something.

    Raises:
        ConfigError: It does, or is a file.
    """
    if os.path.exists(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f'{str(folder)!r} exists and is not empty: choose another folder, or remove it.')


def write_adapter_folder(folder: Path, state: Mapping[str, Tensor], content: Mapping[str, Any], card: str) -> None:
    """Writes the three files into a new folder, which is there whole or not at all.

    Args:
        folder: Must not exist, or be empty.
        state: Trained tensors by name.
        content: What ``adapter_config.json`` says, without the version.
        card: Text of the model card.

    Raises:
        ConfigError: The folder holds something, or ``content`` what JSON or a reader would not take.
    """
    check_new_folder(folder)
    try:
        text = json.dumps(dict(format_version=FORMAT_VERSION, **content), indent=1, ensure_ascii=False)
    except TypeError as error:
        raise ConfigError(f'the config cannot be written as JSON ({error}): use plain values in it.') from error
    _check_types(content['config'], 'config')
    partial = folder.with_name(f'.{folder.name}.partial')
    partial.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}
    (partial / WEIGHTS).write_bytes(save(tensors, metadata=dict(format='pt')))
    (partial / CONFIG).write_text(text + '\n', encoding='utf-8')
    (partial / CARD).write_text(card, encoding='utf-8')
    partial.rename(folder)


def read_adapter_config(folder: Path) -> dict[str, Any]:
    """The content of ``adapter_config.json``.

    Raises:
        WeightsError: It is missing, damaged, or of another kind or version.
    """
    where = f'{str(folder / CONFIG)!r}'
    try:
        content = json.loads((folder / CONFIG).read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise WeightsError(f'{where} cannot be read ({error}): export the adapter again.') from error
    if not isinstance(content, dict) or not isinstance(content.get('config'), dict) or 'format_version' not in content:
        raise WeightsError(f'{where} was not written by `mmcma export`: it has no format_version and config. Adapters '
                           'of peft and other libraries are not read.')
    if content['format_version'] != FORMAT_VERSION:
        raise WeightsError(f'{where} has format_version={content["format_version"]!r}, this mmcma reads '
                           f'{FORMAT_VERSION}: update mmcma, or export the adapter again.')
    return content


def read_adapter_folder(folder: Path) -> tuple[Config, dict[str, Any]]:
    """Config and checkpoint, as :func:`~mmcma.checkpoints.checkpoint_file.check_checkpoint` takes it.

    Raises:
        WeightsError: A file is missing or damaged.
        ConfigError: The config names a type that is no registered name.
    """
    content = read_adapter_config(folder)
    _check_types(content['config'], repr(str(folder / CONFIG)))
    backbone = dict(name=content.get('base_model_name_or_path'), fingerprint=content.get('base_model_fingerprint'))
    return Config(content['config']), dict(state_dict=_read_weights(folder / WEIGHTS), backbone=backbone)


def _read_weights(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise WeightsError(f'{str(path)!r} is missing: copy it from where the adapter was exported.')
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f'{str(path)!r} cannot be read ({error}): cut off, or no safetensors file.') from error


def _check_types(config: Mapping[str, Any], where: str) -> None:
    """Refuses, in what loading builds, any type that is not a registered name."""
    for part in ('model', 'test_dataloader'):
        for path, kind in _types(config.get(part) or {}, part):
            if not (isinstance(kind, str) and _SAFE_TYPE.fullmatch(kind)):
                raise ConfigError(f'{where}: {path}={kind!r} is refused in an exported adapter, where a type must be '
                                  'a registered name without its module; import your own parts before you load it.')


def _types(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every ``type`` below a node with its place, and every ``init_cfg``, which would load files of its own."""
    for key, child in node.items() if isinstance(node, Mapping) else enumerate(node):
        here = f'{path}.{key}'
        if key in ('type', 'init_cfg') and child is not None:
            yield here, child
        elif isinstance(child, (Mapping, list, tuple)):
            yield from _types(child, here)
