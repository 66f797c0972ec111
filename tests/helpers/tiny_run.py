"""A data set in memory and a config around it, for tests that run the tools and the engine end to end."""
from pathlib import Path

import torch
from mmengine.config import Config
from torch.utils.data import Dataset

from mmcma.registry import DATASETS
from mmcma.structures import RetrievalSample
from mmcma.utils.errors import MediaError

WORDS = 'umbrella snowman airplane face red blue star heart sun moon black king'.split()

BASE = Path(__file__).parents[2] / 'configs' / '_base_'


@DATASETS.register_module()
class NoiseClips(Dataset):
    """Clips of noise around a colour that goes with the first word of the caption.

    Args:
        size: Number of items, each with two captions.
        seed: Of everything.
        test_mode: One sample an item instead of one a caption.
        broken: Item that cannot be read.
    """

    def __init__(self, *, size: int, seed: int, test_mode: bool = False, broken: int = -1) -> None:
        self.size, self.seed, self.test_mode, self.broken = size, seed, test_mode, broken
        self.metainfo = dict(dataset='NoiseClips', split=f'seed-{seed}')
        self.items = [dict(id=f'clip{i}', path=f'clip{i}.mp4', captions=self._captions(i))
                      for i in range(size)]
        self.gallery = (size, size)

    def _captions(self, item: int) -> list[str]:
        return [f'{WORDS[item % len(WORDS)]} {tail} {item}' for tail in ('left', 'right')]

    def __len__(self) -> int:
        return self.size * (1 if self.test_mode else 2)

    def __getitem__(self, index: int) -> dict:
        item = index if self.test_mode else index // 2
        captions = self._captions(item)[slice(None) if self.test_mode else slice(index % 2, index % 2 + 1)]
        if item == self.broken:
            raise MediaError(f'clip{item}.mp4: not a video.')
        generator = torch.Generator().manual_seed(self.seed * 1000 + item)
        colour = torch.rand(3, 1, 1, generator=torch.Generator().manual_seed(item % len(WORDS))) * 200
        frames = (colour + 50 * torch.rand(3, 3, 32, 32, generator=generator)).byte()  # (T, 3, H, W)
        sample = RetrievalSample(metainfo=dict(
            item_id=f'clip{item}', item_index=item, path=f'clip{item}.mp4', captions=captions))
        sample.frame_mask = torch.tensor([True, True, item % 2 == 0])
        return dict(inputs=frames, data_samples=sample)


def config_text(pretrained: str, *, epochs: int = 2, extra: str = '') -> str:
    """Text of a config that trains a small CLIP on 24 clips, 12 a batch, in a second."""
    return f"""
_base_ = ['{BASE}/default_runtime.py', '{BASE}/schedules/cma_5e.py']
custom_imports = dict(imports=['helpers.tiny_run'])
pretrained = '{pretrained}'
model = dict(
    type='CrossModalRetriever',
    data_preprocessor=dict(type='RetrievalDataPreprocessor', max_words=32),
    vision_backbone=dict(type='HFVisionTower', pretrained=pretrained),
    text_backbone=dict(type='HFTextTower', pretrained=pretrained),
    neck=dict(type='CrossModalAdapter', bottleneck_dim=4, shared_dim=8, dropout=0.1),
    head=dict(type='RetrievalHead', similarity=dict(type='QueryScore'), loss=dict(type='SymmetricInfoNCE')))
train_dataloader = dict(
    batch_size=12, num_workers=0, dataset=dict(type='NoiseClips', size=24, seed=1),
    sampler=dict(type='DefaultSampler', shuffle=True))
val_dataloader = dict(
    batch_size=4, num_workers=0, dataset=dict(type='NoiseClips', size=9, seed=2, test_mode=True),
    sampler=dict(type='DefaultSampler', shuffle=False))
test_dataloader = dict(
    batch_size=4, num_workers=0, dataset=dict(type='NoiseClips', size=7, seed=3, test_mode=True),
    sampler=dict(type='DefaultSampler', shuffle=False))
val_evaluator = dict(type='RetrievalMetric')
test_evaluator = dict(type='RetrievalMetric')
optim_wrapper = dict(optimizer=dict(lr=1e-2))
train_cfg = dict(max_epochs={epochs})
default_hooks = dict(logger=dict(interval=1))
custom_hooks = [dict(type='FrozenParameterHook'), dict(type='ActivationCheckpointHook'),
                dict(type='BestCheckpointHook'), dict(type='ResumeHook')]
visualizer = dict(vis_backends=[dict(type='LocalVisBackend')])
{extra}
"""


def write_config(folder: Path, pretrained: str, **kwargs) -> Path:
    """Writes :func:`config_text` as ``folder/tiny.py``."""
    path = Path(folder) / 'tiny.py'
    path.write_text(config_text(pretrained, **kwargs))
    return path


def read_config(folder: Path, pretrained: str, **options) -> Config:
    """The config of :func:`write_config` with options merged in, to be run in ``folder``."""
    cfg = Config.fromfile(write_config(folder, pretrained))
    cfg.work_dir = str(folder / 'work')
    cfg.experiment_name = str(folder)  # mmengine's message hubs are global, by name
    cfg.merge_from_dict(options)
    return cfg
