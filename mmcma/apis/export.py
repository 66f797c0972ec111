"""A trained model as a folder to keep, give away or push to the Hugging Face Hub."""
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmcma import __version__
from mmcma.apis.model import set_base_model
from mmcma.checkpoints.adapter_folder import write_adapter_folder
from mmcma.checkpoints.config_data import required_modules
from mmcma.checkpoints.identity import backbone_identity
from mmcma.checkpoints.model_card import model_card
from mmcma.models import CrossModalRetriever
from mmcma.models.trained_state import trained_state
from mmcma.utils.errors import ConfigError, DataError


def export_adapter(model: CrossModalRetriever, folder: str | Path, *, base_model: str | None = None,
                   report: str | Path | None = None) -> dict[str, Any]:
    """Writes what was trained, with its config and a model card; :func:`init_model` reads it.

    The folder holds ``adapter_model.safetensors``, ``adapter_config.json``
    and ``README.md``, the card. To publish it: ``hf upload OWNER/NAME FOLDER``.

    Args:
        model: From :func:`init_model`; of several adapters the one in force.
        folder: A new one.
        base_model: Name of the pretrained model on the Hub, where the config names a local copy.
        report: ``report.json`` of a test of this model, for the card's metrics.

    Returns:
        What ``adapter_config.json`` says.

    Raises:
        ConfigError: Nothing is trained, the model has no config, the folder is not empty, or a part was defined
            in no module.
        DataError: The report cannot be read, or is of another backbone.
    """
    state = trained_state(model)
    if model.cfg is None or not state or (model.neck is not None and not model.neck.enabled):
        raise ConfigError('there is nothing to export: build the model with mmcma.apis.init_model, from a config and '
                          'what was trained.')
    identity = backbone_identity(model)
    config = Config({key: value for key, value in model.cfg.to_dict().items() if key != 'custom_imports'})
    requires = required_modules(config)
    if '__main__' in requires:
        raise ConfigError('a part of the model was defined in the program itself or in a notebook: move it to a module '
                          'of its own, so that others can import it, and build the model anew.')
    if base_model is not None:
        set_base_model(config, base_model)
        identity['name'] = base_model
    tested = {} if report is None else read_report(report, identity)
    content = dict(
        mmcma_version=__version__, base_model_name_or_path=identity['name'],
        base_model_fingerprint=identity['fingerprint'], method=method_of(config) or 'head',
        parameters=sum(tensor.numel() for tensor in state.values()), metrics=tested.get('results', {}),
        requires=requires, config=config.to_dict())
    write_adapter_folder(Path(folder).expanduser(), state, content, model_card(content, tested, Path(folder).name))
    return content


def method_of(config: Config) -> str:
    """What a config trains beside its head, in words: the necks, and the parts of the towers."""
    neck = config.model.get('neck') or {}
    names = [part['type'] for part in neck.get('necks', [neck] if neck else [])]
    for tower in ('vision_backbone', 'text_backbone'):
        if trainable := config.model[tower].get('trainable'):
            names.append(f'{tower} {"whole" if trainable is True else trainable}')
    return ' + '.join(names)


def read_report(path: str | Path, identity: Mapping[str, Any]) -> dict[str, Any]:
    """What ``RetrievalReportHook`` wrote.

    Raises:
        DataError: The file is no report, or of a model on another backbone.
    """
    try:
        report = json.loads(Path(path).read_text(encoding='utf-8'))
        backbone = report['backbone']['fingerprint']
        report['results'], report['protocols'], report['gallery'], report['dataset']
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f'report {str(path)!r} cannot be read ({type(error).__name__}: {error}); it must be the '
                        'report.json of a training or test.') from error
    if backbone != identity['fingerprint']:
        raise DataError(f'report {str(path)!r} is of backbone {backbone}, this model has {identity["fingerprint"]}: '
                        'its numbers are not those of this model.')
    return report
