"""A model ready to use."""
from pathlib import Path

import torch
from mmengine.config import Config

from mmcma.checkpoints.checkpoint_file import load_trained
from mmcma.checkpoints.identity import backbone_identity, check_backbone, recall_backbone
from mmcma.checkpoints.sources import resolve_model
from mmcma.config import building
from mmcma.models import CrossModalRetriever
from mmcma.registry import MODELS
from mmcma.utils.errors import ConfigError, WeightsError


def init_model(source: str | Path | Config, checkpoint: str | Path | None = None,
               device: str | torch.device | None = None, *,
               base_model: str | None = None) -> CrossModalRetriever:
    """Builds a model in eval mode; ``model.cfg`` is its config.

    Args:
        source: A config or its file; a checkpoint of ``tools/train.py``; a folder of ``mmcma export``; or,
            for a model without adapter, ``'tiny'`` or the name or folder of a Hugging Face model.
        checkpoint: What was trained, where ``source`` is a config. Without one, the model
            is the zero-shot one: it has no neck.
        device: Where it shall work; a GPU by default, where there is one.
        base_model: The pretrained model's name or folder here, where it is another than the config says.

    Raises:
        ConfigError: The source is none of these, or its config holds a value that cannot work.
        WeightsError: Pretrained weights or the trained ones are missing or do not fit.
    """
    config, trained, name, _ = resolve_model(source, checkpoint)
    config = Config(config.to_dict(), filename=config.filename)  # the caller's stays as it is
    if base_model is not None:
        set_base_model(config, base_model)
    if trained is None:
        config.model.neck = None
    with building(config):
        model = MODELS.build(config.model)
    recall_backbone(model)
    if trained is not None:
        load_trained(model, trained, source=name)
    model.cfg = config
    return model.to(device or ('cuda' if torch.cuda.is_available() else 'cpu')).eval()


def load_adapter(model: CrossModalRetriever, name: str, source: str | Path, *,
                 allow_other_backbone: bool = False) -> None:
    """Adds an adapter beside those that a model has; ``with model.adapter(name):`` activates it.

    Args:
        model: From :func:`init_model`.
        name: What to call the adapter.
        source: A folder that ``mmcma export`` wrote, or a checkpoint of ``tools/train.py``.
        allow_other_backbone: Load also what was trained on a backbone with another fingerprint.

    Raises:
        ConfigError: The name is taken, or the model's own towers train.
        WeightsError: The source cannot be read, does not fit, or is fine-tuned in its towers.
    """
    config, checkpoint, found, _ = resolve_model(source)
    if checkpoint is None:
        raise WeightsError(f'{found} holds no trained weights; load a checkpoint, or a folder of `mmcma export`.')
    check_backbone(checkpoint.get('backbone') or {}, backbone_identity(model), found, allow_other_backbone)
    with building(config):
        model.load_adapter(name, config, checkpoint['state_dict'], source=found)


def set_base_model(config: Config, base_model: str) -> None:
    """Puts ``base_model`` in the place of the pretrained model that both towers of a config name.

    Raises:
        ConfigError: A tower takes no ``pretrained``, or they name two.
    """
    towers = [config.model.vision_backbone, config.model.text_backbone]
    named = {tower.get('pretrained') for tower in towers}
    if None in named or len(named) > 1:
        raise ConfigError(f'base_model={base_model!r}: the towers name {sorted(map(str, named))}, not one pretrained '
                          'model; set model.vision_backbone and model.text_backbone in the config.')
    for tower in towers:
        tower.pretrained = base_model
