"""An adapter in the form that the Hugging Face Hub knows: safetensors, a config and a model card; no pickle.

``adapter_config.json`` holds ``format_version``, ``base_model_name_or_path``,
``base_model_fingerprint``, ``method``, ``metrics``, ``requires`` (the modules
that own parts come from), ``weights_digest`` and the whole ``config``. Such a
folder may come from anywhere, and reading one runs nothing that it names.
"""
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from mmcma.checkpoints.config_data import imports_of, loaded_config
from mmcma.utils.digests import file_digest
from mmcma.utils.errors import ConfigError, WeightsError

CONFIG, WEIGHTS, CARD = 'adapter_config.json', 'adapter_model.safetensors', 'README.md'
FORMAT_VERSION = 1
_KIND = 'an exported adapter'


def is_adapter_folder(path: Path) -> bool:
    """Whether the folder is one that :func:`write_adapter_folder` writes, whole or damaged."""
    return (path / CONFIG).is_file()


def write_adapter_folder(folder: Path, state: Mapping[str, Tensor], content: Mapping[str, Any], card: str) -> None:
    """Writes the three files into a new folder, which is there whole or not at all.

    Args:
        folder: Must not exist, or be empty.
        state: Trained tensors by name.
        content: Of ``adapter_config.json``, without the version.
        card: Text of the model card.

    Raises:
        ConfigError: The folder holds something, or ``content`` what JSON or a reader would not take.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f'{str(folder)!r} exists and is not empty: choose another folder, or remove it.')
    loaded_config(content['config'], 'config', _KIND)
    try:
        json.dumps(content)
    except TypeError as error:
        raise ConfigError(f'the config cannot be written as JSON ({error}): use plain values in it.') from error
    partial = folder.with_name(f'.{folder.name}.partial')
    partial.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}
    (partial / WEIGHTS).write_bytes(save(tensors, metadata=dict(format='pt')))
    content = dict(format_version=FORMAT_VERSION, weights_digest=file_digest(partial / WEIGHTS), **content)
    text = json.dumps(content, indent=1, ensure_ascii=False)
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


def read_adapter_folder(folder: Path) -> tuple[Config, dict[str, Any], list[str]]:
    """Config, checkpoint as :func:`~mmcma.checkpoints.checkpoint_file.check_checkpoint` takes it, and required modules.

    Raises:
        WeightsError: A file is missing or damaged.
        ConfigError: The config names what would be imported.
    """
    content = read_adapter_config(folder)
    config = loaded_config(content['config'], repr(str(folder / CONFIG)), _KIND)
    backbone = dict(name=content.get('base_model_name_or_path'), fingerprint=content.get('base_model_fingerprint'))
    checkpoint = dict(state_dict=_read_weights(folder / WEIGHTS, content.get('weights_digest')), backbone=backbone)
    requires = content.get('requires')
    return config, checkpoint, list(map(str, requires)) if isinstance(requires, list) else imports_of(content['config'])


def _read_weights(path: Path, digest: str | None) -> dict[str, Tensor]:
    """The tensors; ``digest`` is None in folders of before there was one."""
    if not path.is_file():
        raise WeightsError(f'{str(path)!r} is missing: copy it from where the adapter was exported.')
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f'{str(path)!r} cannot be read ({error}): cut off, or no safetensors file.') from error
    if digest is not None and digest != file_digest(path):
        raise WeightsError(f'{str(path)!r} is damaged: it differs from the weights_digest in {CONFIG}. Copy it anew '
                           'from where the adapter was exported.')
    return tensors
