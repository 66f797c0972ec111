"""A test set of MSVD's shape, and what tests the small CLIP on it: ours, and the released code in a process of its own.

Frames are random images and captions random words, so that the figures are those of chance. Both sides read the same
files and hold the same weights.
"""
import io
import json
import logging
import multiprocessing
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import torch
from PIL import Image
from transformers import AutoTokenizer

from benchmarks.ways import CONFIGS
from mmcma.config import load_config
from mmcma.datasets.video.cache import FrameCache
from mmcma.models.backbones.pretrained import locate
from mmcma.registry import MODELS, TRANSFORMS

CLIP, SIZE, FRAMES, WORDS = 'mmcma/clip-tiny-glyphs', 64, 12, 32
IMAGE = (320, 240)  # width and height of a frame on the disk
STEPS = [dict(type='LoadVideoFrames', num_frames=FRAMES, fps=1.0), dict(type='ResizeCrop', size=SIZE)]
#: The library's names of the figures that both sides report -> those of the released code.
FIGURES = {'R@1': 'R1', 'R@5': 'R5', 'R@10': 'R10', 'MnR': 'MeanR'}
CONFIG = f"""
_base_ = [{', '.join(f"'{CONFIGS}/_base_/{part}.py'" for part in ('models/clip_tiny', 'datasets/captioned_files',
                                                                   'schedules/cma_tiny', 'default_runtime'))}]
model = dict(neck=dict(type='CrossModalAdapter', bottleneck_dim=8, shared_dim=16))
custom_hooks = []
visualizer = dict(vis_backends=[dict(type='LocalVisBackend')])
log_level = 'ERROR'
"""


# ---- files ----

def write_test_set(folder: Path, videos: int, captions: int) -> None:
    """Writes ``videos/``, a folder of frames each, ``cache/`` of them, ``test.jsonl``, ``clip/`` and the adapters.

    Args:
        folder: Where to.
        videos: How many, of 12 frames.
        captions: Of all videos together, as equally many of each as can be; of 5 to 11 words.
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
    generator = torch.Generator().manual_seed(0)
    neck = MODELS.build(load_config(str(folder / 'config.py')).model).neck
    torch.save({f'neck.{name}': 0.05 * torch.randn(tensor.shape, generator=generator)
                for name, tensor in neck.state_dict().items()}, folder / 'adapters.pt')


# ---- ours ----

class OurTest:
    """The test that tools/test.py runs, without the images and tables that its report draws.

    Args:
        folder: Of :func:`write_test_set`.
        videos: Only the first of them.
        cached: Whether frames come from the cache, and not from images.
    """

    def __init__(self, folder: Path, videos: int, cached: bool = False) -> None:
        from mmengine.runner import Runner
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
            f'{way}/{key}': metrics[f'{way}/{key}'] for way in ('t2v', 'v2t') for key in FIGURES})


# ---- the released code ----

class ReleasedTest:
    """Its ``eval_epoch`` on its own loader, as it stands.

    Three things had to be added. It has no reader for a test set with several captions a video, only the branch of
    ``eval_epoch`` for one: a reader gives it what that branch expects. The tokenizer is the small CLIP's, whose words
    are not those of its own. ``np.float``, which NumPy has dropped, is float.

    Args:
        checkout: The released code.
        folder: Of :func:`write_test_set`.
        videos: Only the first of them.
        batch: Captions at a time; 16 is its default.
    """

    def __init__(self, checkout: Path, folder: Path, videos: int, batch: int) -> None:
        from benchmarks.official import released_model
        self.model = released_model(checkout, folder).eval()
        np.float = float
        # Its own tokenizer, which is imported and not used, wants it.
        sys.modules.setdefault('ftfy', MagicMock(__spec__=ModuleSpec('ftfy', None)))
        import train
        self.train, train.logger, train.run_obj = train, logging.getLogger('released'), MagicMock()
        self._loader = torch.utils.data.DataLoader(_released_data(folder, videos), batch_size=batch)
        self._seconds = {}
        self._watch('similarity', '_run_on_single_gpu')
        for name in ('tensor_text_to_video_metrics', 'tensor_video_to_text_sim', 'compute_metrics'):
            self._watch('metrics', name)

    def _watch(self, part: str, name: str) -> None:
        function = getattr(self.train, name)

        def watched(*args):
            began = time.perf_counter()
            result = function(*args)
            self._seconds[part] += time.perf_counter() - began
            return result
        setattr(self.train, name, watched)

    def test(self) -> dict:
        """``seconds`` of each part: ``frames and features``, ``similarity``, ``metrics``; and the ``metrics``."""
        self._seconds.update(similarity=0.0, metrics=0.0)
        began = time.perf_counter()
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):  # a bar, and a line for every batch
            self.train.eval_epoch(None, self.model, self._loader, torch.device('cpu'), 0)
        rest = time.perf_counter() - began - sum(self._seconds.values())
        found = self.train.run_obj.write.call_args.kwargs['eval_metrics']
        return dict(seconds={'frames and features': rest, **self._seconds}, metrics={
            f'{way}/{key}': float(found[f'{prefix}_{theirs}']) for way, prefix in (('t2v', 'tv'), ('v2t', 'vt'))
            for key, theirs in FIGURES.items()})


def _released_data(folder: Path, videos: int):
    """The released data set of the first videos, a sample for each caption."""
    from dataloaders_drl.dataloader_retrieval_images import RetrievalDataset
    lines = [json.loads(line) for line in (folder / 'test.jsonl').read_text().splitlines()[:videos]]
    ends = np.cumsum([len(line['captions']) for line in lines]).tolist()

    class Clips(RetrievalDataset):
        # What eval_epoch's branch for several captions a video asks for.
        multi_sentence_per_video, cut_off_points, sentence_num, video_num = True, ends, ends[-1], len(lines)

        def _get_anns(self, subset):
            captions = [(line['path'], (caption, None, None)) for line in lines for caption in line['captions']]
            return ({line['path']: str(folder / 'videos' / line['path']) for line in lines},
                    dict(enumerate(captions)))

    settings = SimpleNamespace(train_augment=False, horizontal_flip=False, debug=0, mq_test=0)
    with redirect_stdout(None):
        return Clips('test', None, None, AutoTokenizer.from_pretrained(folder / 'clip'), max_words=WORDS,
                     max_frames=FRAMES, image_resolution=SIZE, config=settings)
