"""A model ready to use from a config and a checkpoint."""
from pathlib import Path
from typing import Optional, Union

import torch
from mmengine.config import Config

from mmcma.checkpoint import load_trained
from mmcma.config import check_config, load_config
from mmcma.registry import MODELS


def init_model(config: Union[str, Path, Config], checkpoint: Optional[Union[str, Path]] = None,
               device: Union[str, torch.device] = 'cpu'):
    """Builds the model of a config, in eval mode.

    Args:
        config: Config file or its content.
        checkpoint: What ``tools/train.py`` wrote. Without one, the model is the
            zero-shot one: its neck, untrained, is switched off.
        device: Where it shall work.

    Returns:
        A :class:`~mmcma.models.CrossModalRetriever`.

    Raises:
        ConfigError: The config cannot be read or holds a value that cannot work.
        WeightsError: Pretrained weights or the checkpoint are missing or do not fit.
    """
    if not isinstance(config, Config):
        config = load_config(config)
    check_config(config)
    model = MODELS.build(config.model)
    if checkpoint is not None:
        load_trained(model, checkpoint)
    elif model.neck is not None:
        model.neck.enable(False)
    return model.to(device).eval()
