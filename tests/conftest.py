"""Fixtures of the whole suite."""
import gc
import os
from functools import cache
from pathlib import Path

import helpers.quick_mmengine  # noqa: F401
import pytest
import torch
from helpers.clip import write_clip

TESTS = Path(__file__).parent

os.environ.setdefault('HF_HUB_OFFLINE', '1')
# A process of tests for each core has one thread each: two that wait for each other in turn take three times as long.
os.environ.setdefault('OMP_NUM_THREADS', '1')
torch.set_num_threads(int(os.environ['OMP_NUM_THREADS']))
# Of the processes that tests start.
os.environ['PYTHONPATH'] = os.pathsep.join(filter(None, [str(TESTS.parent), str(TESTS), os.environ.get('PYTHONPATH')]))


@pytest.fixture(scope='session', autouse=True)
def own_cache(tmp_path_factory):
    """What the project keeps between runs stays out of the user's home."""
    os.environ['MMCMA_CACHE'] = str(tmp_path_factory.mktemp('cache'))


def pytest_collection_modifyitems(items) -> None:
    """Tests marked ``gpu`` are skipped where there is none."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker('gpu'):
                item.add_marker(pytest.mark.skip(reason='there is no GPU'))


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Half a million objects come with what is imported, and stay: no garbage collection walks through them."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope='session')
def tiny_clip(tmp_path_factory) -> str:
    """Folder of a small random CLIP for 32-px images."""
    return write_clip(tmp_path_factory.mktemp('clip'))


@pytest.fixture(scope='session')
def streams(tmp_path_factory):
    """Gives the file of one of ``helpers.streams.STREAMS``, to be read; each is encoded once."""
    from helpers.streams import STREAMS, write_stream

    @cache
    def give(name: str) -> Path:
        file, codec, options, _ = STREAMS[name]
        return write_stream(tmp_path_factory.mktemp('stream') / file, codec, options)
    return give


@pytest.fixture
def build():
    """Builds a registered model part from its config."""
    import mmcma.models  # noqa: F401
    from mmcma.registry import MODELS
    torch.manual_seed(0)
    return MODELS.build
