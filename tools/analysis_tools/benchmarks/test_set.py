"""A test set of MSVD's shape, and its test with the small CLIP by our code."""
import json
import multiprocessing
import time
from pathlib import Path

import numpy as np
import torch
from mmengine.runner import Runner
from PIL import Image
from transformers import AutoTokenizer

from benchmarks.steps import write_adapters
from benchmarks.variants import CONFIGS
from mmcma.config import load_config
from mmcma.datasets.video.cache import FrameCache
from mmcma.models.backbones.pretrained import locate
from mmcma.registry import TRANSFORMS

CLIP, SIZE, FRAMES = 'mmcma/clip-tiny-glyphs', 64, 12
IMAGE = (320, 240)  # width and height of a frame on the disk
STEPS = [dict(type='LoadVideoFrames', num_frames=FRAMES, fps=1.0), dict(type='ResizeCrop', size=SIZE)]
FIGURES = ('R@1', 'R@5', 'R@10', 'MnR')  # those that both sides report
CONFIG = f"""
_base_ = [{', '.join(f"'{CONFIGS}/_base_/{part}.py'" for part in ('models/clip_tiny', 'datasets/captioned_files',
                                                                   'schedules/cma_tiny', 'default_runtime'))}]
model = dict(neck=dict(type='CrossModalAdapter', bottleneck_dim=8, shared_dim=16))
custom_hooks = []
visualizer = dict(vis_backends=[dict(type='LocalVisBackend')])
log_level = 'ERROR'
"""


def write_test_set(folder: Path, videos: int, captions: int) -> None:
    """Writes ``videos/``, a folder of frames each, ``cache/`` of them, ``test.jsonl``, ``clip/`` and ``adapters.pt``.

    Frames are random images and captions 5 to 11 random words, so that the figures are those of chance.

    Args:
        folder: Where to.
        videos: How many, of 12 frames.
        captions: Captions of all videos together, as equally many of each as can be.
    """
    rng = np.random.default_rng(0)
    vocabulary = sorted(word.removesuffix('</w>') for word in AutoTokenizer.from_pretrained(locate(CLIP)).get_vocab()
                        if word.removesuffix('</w>').isalpha() and word.endswith('</w>'))
    cache = FrameCache.create(folder / 'cache', STEPS, quality=None, config='')
    load, resize = map(TRANSFORMS.build, STEPS)
    lines = []
    for video in range(videos):
        path = folder / 'videos' / f'video{video:04d}'
        path.mkdir(parents=True)
        for frame in range(FRAMES):
            blocks = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
            blocks.resize(IMAGE, Image.Resampling.BICUBIC).save(path / f'{frame:02d}.jpg', quality=90)
        cache.write(path.name, resize(load(dict(path=str(path))))['frames'])
        count = captions // videos + (video < captions % videos)
        lines.append(json.dumps(dict(path=path.name, captions=[
            ' '.join(rng.choice(vocabulary, rng.integers(5, 12))) for _ in range(count)])))
    (folder / 'test.jsonl').write_text('\n'.join(lines) + '\n')
    (folder / 'clip').symlink_to(locate(CLIP))
    (folder / 'config.py').write_text(CONFIG)
    write_adapters(folder, load_config(str(folder / 'config.py')), torch.Generator().manual_seed(0))


class OurTest:
    """The test that tools/test.py runs, without the images and tables that its report draws.

    Args:
        folder: Written by :func:`write_test_set`.
        videos: Only the first of them.
        cached: Whether frames come from the cache, and not from images.
    """

    def __init__(self, folder: Path, videos: int, cached: bool = False) -> None:
        cfg = load_config(str(folder / 'config.py'), {
            'test_dataloader.num_workers': 0, 'test_dataloader.dataset.data_root': str(folder),
            'test_dataloader.dataset.ann_file': 'test.jsonl', 'test_dataloader.dataset.indices': videos,
            'test_evaluator.v2t_protocol': 'max_over_captions'})  # the released code's
        first = [dict(type='LoadCachedFrames', cache=str(folder / 'cache'), steps=STEPS)] if cached else STEPS
        cfg.test_dataloader.dataset.pipeline = [*first, dict(type='PackRetrievalInputs')]
        cfg.env_cfg.mp_cfg.mp_start_method = multiprocessing.get_start_method()  # mmengine sets it
        cfg.work_dir = str(folder / f'work-{cached}')
        cfg.experiment_name = cfg.work_dir  # mmengine's message hubs are global, by name
        self.runner = Runner.from_cfg(cfg)
        self.runner.model.load_state_dict(torch.load(folder / 'adapters.pt', weights_only=True), strict=False)

    def test(self) -> dict:
        """``seconds``, and the ``metrics`` by name."""
        began = time.perf_counter()
        metrics = self.runner.test()
        return dict(seconds=time.perf_counter() - began, metrics={
            f'{direction}/{key}': metrics[f'{direction}/{key}'] for direction in ('t2v', 'v2t') for key in FIGURES})
