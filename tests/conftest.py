"""Fixtures of the whole suite."""
import os

import pytest
import torch
from helpers.clip import write_clip

os.environ.setdefault('HF_HUB_OFFLINE', '1')


@pytest.fixture(scope='session')
def tiny_clip(tmp_path_factory) -> str:
    """Folder of a small random CLIP for 32-px images."""
    return write_clip(tmp_path_factory.mktemp('clip'))


@pytest.fixture
def build():
    """Builds a registered model part from its config."""
    import mmcma.models  # noqa: F401
    from mmcma.registry import MODELS
    torch.manual_seed(0)
    return MODELS.build
