"""An inferencer without a network, folders for it to index, and what a gallery holds."""
import multiprocessing
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from mmengine.config import Config

from helpers.media import write_image, write_video
from mmcma.models.similarities import QueryScore
from mmcma.search import Gallery, indexing, manifest, writer
from mmcma.search.rows import Moment
from mmcma.search.tables import lance
from mmcma.structures import Features
from mmcma.utils.errors import DataError

FREQUENCIES = torch.arange(1, 9) / 90


def embedding(grey: torch.Tensor) -> torch.Tensor:
    """``(...)`` -> ``(..., 16)``: neighbouring greys are alike."""
    angle = grey[..., None] * FREQUENCIES
    return 6 * torch.cat([angle.cos(), angle.sin()], dim=-1)


class StandIn:
    """Has the interface of ``RetrievalInferencer``; the text ``'100'`` means what is grey like 100."""
    batch_size = 2

    def __init__(self, fingerprint: str = 'f' * 32) -> None:
        pipeline = [dict(type='LoadVideoFrames', num_frames=4, fps=2.0), dict(type='ResizeCrop', size=16)]
        self.fingerprint, self.query_score = fingerprint, QueryScore(temperature=5.0)
        self.model = SimpleNamespace(
            cfg=Config(dict(test_dataloader=dict(dataset=dict(pipeline=pipeline)))),
            encode_visual=self._encode_visual, frame_weights=self.query_score.frame_weights,
            data_preprocessor=SimpleNamespace(
                limit=8, device='cpu', token_counts=lambda texts: [len(text.split()) + 2 for text in texts]))

    @staticmethod
    def _encode_visual(frames: torch.Tensor, mask: torch.Tensor) -> Features:
        tokens = embedding(frames.float().mean(dim=(2, 3, 4)))
        return Features((tokens * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True), tokens, mask)

    def encode_text(self, texts: list[str]) -> Features:
        return Features(embedding(torch.tensor([float(text) for text in texts])))

    def encode_visual(self, paths: list[str]) -> Features:
        from PIL import Image
        greys = [float(np.asarray(Image.open(path)).mean()) for path in paths]
        tokens = embedding(torch.tensor(greys))[:, None]
        return Features(tokens[:, 0], tokens, torch.ones(tokens.shape[:2], dtype=torch.bool))

    def similarity(self, text: Features, visual: Features) -> torch.Tensor:
        return self.query_score(text, visual)

    @staticmethod
    def visual_similarity(first: Features, second: Features) -> torch.Tensor:
        return torch.cosine_similarity(first.pooled[:, None], second.pooled[None], dim=-1)


def write_folder(folder: Path, images: int = 5, videos: int = 2) -> Path:
    """Images 0.png ... of greys 0, 20, ... in a subfolder, and videos v0.mp4 ... of 1, 1.5, ... seconds."""
    for number in range(images):
        write_image(folder / 'images' / f'{number}.png', grey=20 * number)
    for number in range(videos):
        write_video(folder / f'v{number}.mp4', num_frames=10 + 5 * number, paint=lambda frame: 100 + 3 * frame)
    return folder


def index(folder: Path, gallery: Path, inferencer=None, **settings):
    return indexing.index_folder(folder, gallery, inferencer or StandIn(), model='stand-in', **settings)


def moments_of(frames: np.ndarray) -> list[Moment]:
    """Rows with these embeddings, float16 ``(N, T, D)``, of files in three folders."""
    return [Moment(f'{number % 3}/{number:03}.mp4', 0.0, 4.0, 4.0, [float(second) for second in range(len(own))], own,
                   1, 'd', 1, 1) for number, own in enumerate(frames)]


def contents(path: Path, inferencer=None) -> dict:
    """Of a gallery: for each moment its facts and its frames, once the gallery is found to be whole."""
    gallery = Gallery(path, inferencer or StandIn())
    assert gallery.manifest.complete
    found = [moment for file in gallery.paths() for moment in gallery.moments_of(file)]
    assert len(found) == len(gallery.moments) == gallery.manifest.rows
    state = {(moment.path, moment.start): moment._replace(frames=moment.frames.tolist()) for moment in found}
    assert len(state) == len(found)  # no moment twice
    return state


def killed_at(step: int, folder: Path, gallery: Path) -> None:
    """Indexes in this process until it is about to change the gallery for the ``step``-th time, and dies."""
    left = step

    def dies(change):
        def call(*args, **kwargs):
            nonlocal left
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            return change(*args, **kwargs)
        return call
    multiprocessing.set_start_method('fork', force=True)  # for its own processes; this one came otherwise
    indexing.ROWS_AT_ONCE = 2
    for owner, names in ((writer, ['create', 'append', 'overwrite', 'write_fragments']), (manifest, ['overwrite']),
                         (lance.LanceDataset, ['delete', 'restore'])):
        for name in names:
            setattr(owner, name, dies(getattr(owner, name)))
    try:
        index(folder, gallery)
    except DataError:
        os._exit(1)
    os._exit(0)
