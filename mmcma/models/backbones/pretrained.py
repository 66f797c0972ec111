"""Reading dual-encoder models of ``transformers``, once for both towers, with errors that say the fix."""
import os
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Protocol

import torch
from huggingface_hub import HfApi, is_offline_mode, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.image_processing_base import ImageProcessingMixin
from transformers.utils import logging as hf_logging

from mmcma.models.backbones.architectures import architecture
from mmcma.utils.errors import ConfigError, WeightsError, did_you_mean

#: Models that travel with this package: name -> folder.
BUNDLED = {'mmcma/clip-tiny-glyphs': Path(__file__).parents[2] / 'pretrained' / 'clip-tiny-glyphs'}


class DualEncoder(Protocol):
    """The parts that every ``transformers`` model of the known architectures has, a ``PreTrainedModel``."""
    config: PreTrainedConfig
    vision_model: PreTrainedModel
    text_model: PreTrainedModel
    logit_scale: nn.Parameter


_shared: ContextVar[dict | None] = ContextVar('shared_reads', default=None)


@contextmanager
def shared_reads():
    """A context in which towers that name the same checkpoint get the halves of one model, read once."""
    token = _shared.set({})
    try:
        yield
    finally:
        _shared.reset(token)


def locate(pretrained: str) -> str:
    """The folder of a bundled model or an existing local folder; any other name is left to the Hub.

    Raises:
        WeightsError: ``pretrained`` looks like a path and no folder is there,
            or the folder is no model of ``transformers``.
    """
    if pretrained in BUNDLED:
        return str(BUNDLED[pretrained])
    path = Path(pretrained).expanduser()
    if path.is_dir():
        if not (path / 'config.json').is_file():
            raise WeightsError(f'pretrained={pretrained!r}: the folder holds no config.json; expected a Hugging Face '
                               'model folder (config.json, model.safetensors, tokenizer files, '
                               'preprocessor_config.json).')
        return str(path)
    if not may_be_on_the_hub(pretrained):
        raise WeightsError(f'pretrained={pretrained!r}: no such folder, and not a name of the form owner/model.'
                           f'{names_beside(pretrained)}')
    return pretrained


def may_be_on_the_hub(name: str) -> bool:
    """Whether a name that is no folder here is one of the form ``owner/model``, and not a path mistyped.

    A path is what begins as one, or in a folder that is here or that ``mmcma train`` makes; what was downloaded counts
    as a name all the same.
    """
    first, _, rest = name.partition('/')
    if not rest or '/' in rest or name.startswith(('.', '~', '/')):
        return False
    return _is_cached(name) or not (first == 'work_dirs' or os.path.isdir(first))


def names_beside(name: str) -> str:
    """`` Did you mean 'x'?`` for what lies where a path that leads nowhere would lie, else ``''``."""
    folder = os.path.dirname(os.path.expanduser(name)) or '.'
    try:
        others = [os.path.join(os.path.dirname(name), other) for other in os.listdir(folder)]
        return did_you_mean(name, [other for other in others if other != name])
    except OSError:
        return ''


def _is_cached(name: str) -> bool:
    try:
        return isinstance(try_to_load_from_cache(name, 'config.json'), str)
    except HFValidationError:
        return False


def weight_files(pretrained: str) -> list[Path]:
    """Files on this machine that hold a dual encoder's weights; none where they cannot be told."""
    try:
        folder = locate(pretrained)
        if not Path(folder).is_dir():
            folder = snapshot_download(pretrained, local_files_only=True)
    except (WeightsError, LocalEntryNotFoundError, HFValidationError):
        return []
    return sorted(path.resolve() for path in Path(folder).iterdir() if path.suffix in ('.safetensors', '.bin'))


def read_dual(*, pretrained: str | None = None, config: dict | None = None) -> DualEncoder:
    """A dual encoder in float32: with the weights of ``pretrained``, or random ones from ``config``.

    Args:
        pretrained: Name on the Hub, a bundled name, or a local folder.
        config: ``model_type`` and the fields of that type's config, for a
            model from scratch. Exactly one of the two is given.

    Raises:
        ConfigError: Both or none of the arguments are given.
        WeightsError: The weights cannot be had, lack a tensor, or are of a
            model type that the towers do not know.
    """
    if pretrained is not None and config is None:
        read, key = partial(_from_pretrained, pretrained), pretrained
    elif pretrained is None and config is not None:
        read, key = partial(_from_config, config), repr(config)
    else:
        raise ConfigError('a tower takes either pretrained=... or config=... (from scratch); '
                          f'got pretrained={pretrained!r}, config={config!r}.')
    cache = _shared.get()
    if cache is not None and key in cache:
        return cache[key]
    model = read()
    if cache is not None:
        cache[key] = model
    return model


def _from_config(config: dict) -> DualEncoder:
    fields = dict(config)
    architecture(fields['model_type'])
    config_of_type = AutoConfig.for_model(fields.pop('model_type'), **fields)
    return AutoModel.from_config(config_of_type, trust_remote_code=False)


def read_config(pretrained: str) -> PreTrainedConfig:
    """The config of a dual encoder.

    Raises:
        WeightsError: It cannot be had, or the model is of a type that the towers do not know.
    """
    source = locate(pretrained)
    if source == pretrained and not os.path.isdir(source):
        _ask_the_hub_once(pretrained)
    with _quiet():
        try:
            config = AutoConfig.from_pretrained(source, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise _unreachable(pretrained) from error
    architecture(config.model_type, pretrained)
    return config


def _from_pretrained(pretrained: str) -> DualEncoder:
    config, source = read_config(pretrained), locate(pretrained)  # before what may be a large download
    with _quiet():
        try:
            model, info = AutoModel.from_pretrained(source, config=config, dtype=torch.float32,
                                                    output_loading_info=True, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise _unreachable(pretrained) from error
        except UnpicklingError as error:
            raise WeightsError(f'pretrained={pretrained!r}: its weights are a pickle that holds more than tensors; '
                               'take the model.safetensors of that model.') from error
    if info['missing_keys']:
        raise WeightsError(f'pretrained={pretrained!r}: the checkpoint lacks {sorted(info["missing_keys"])[:3]} '
                           f'({len(info["missing_keys"])} tensors in all); it is no complete dual encoder.')
    return model


def _ask_the_hub_once(name: str) -> None:
    """Refuses a name that is not in the cache and unknown to the Hub, where transformers would retry for long."""
    if _is_cached(name) or is_offline_mode():
        return
    try:
        HfApi().model_info(name, timeout=10)
    except HfHubHTTPError as error:
        if isinstance(error, RepositoryNotFoundError):
            raise _unreachable(name) from error
    except Exception as error:  # the Hub's client passes on whatever its network library raises
        raise _unreachable(name) from error


def _unreachable(pretrained: str) -> WeightsError:
    return WeightsError(
        f'pretrained={pretrained!r}: neither a local model folder nor reachable on the Hugging Face Hub. Offline, run '
        f'`hf download {pretrained} --local-dir DIR` where there is a network, copy DIR here and set '
        'model.vision_backbone.pretrained and model.text_backbone.pretrained to it.')


def read_normalisation(pretrained: str) -> tuple[list[float], list[float]]:
    """Mean and standard deviation per RGB channel, for pixels scaled to [0, 1].

    Raises:
        WeightsError: The model's ``preprocessor_config.json`` is missing or names none.
    """
    try:
        fields, _ = ImageProcessingMixin.get_image_processor_dict(locate(pretrained))
        return list(fields['image_mean']), list(fields['image_std'])
    except (OSError, KeyError) as error:
        raise WeightsError(f'pretrained={pretrained!r}: preprocessor_config.json with image_mean and image_std is '
                           'missing; copy it from the original model.') from error


@contextmanager
def _quiet():
    """Silences transformers' loading report: missing tensors are an error of ours, unused ones are expected."""
    level, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()
