"""Checkpoints of models that look trained, for tests of what reads them."""
from pathlib import Path

import torch
from mmengine.config import Config

from helpers.clip import model_config
from mmcma.checkpoints.identity import backbone_identity
from mmcma.models.trained_state import trained_state
from mmcma.registry import MODELS

PIPELINE = [dict(type='LoadVideoFrames', num_frames=3, fps=None), dict(type='ResizeCrop', size=32),
            dict(type='PackRetrievalInputs')]


def retrieval_config(pretrained: str, **model) -> Config:
    """A config of a small model that reads files of one's own."""
    dataset = dict(type='CaptionedFiles', test_mode=True, pipeline=PIPELINE)
    return Config(dict(model=model_config(pretrained, **model), test_dataloader=dict(dataset=dataset)))


def trained_checkpoint(folder: Path, config: Config, name: str = 'best.pth', seed: int = 0) -> Path:
    """Writes what training might have made of a config's model, with the config in it."""
    torch.manual_seed(seed)
    model = MODELS.build(config.model)
    identity = backbone_identity(model)
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.trainable_parameters().values():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    path = Path(folder) / name
    torch.save(dict(state_dict=trained_state(model), backbone=identity, meta=dict(cfg=config.pretty_text)), path)
    return path
