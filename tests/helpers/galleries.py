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
from mmcma.search import Gallery, indexing
from mmcma.search.frame_store import FrameStore
from mmcma.search.manifest import GalleryManifest
from mmcma.search.vector_store import VectorStore
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


def contents(path: Path) -> dict:
    """Of a gallery: for each item its facts, its frames, and what its vector gives with a query."""
    with Gallery.open(path, StandIn()) as gallery:
        found = gallery.vectors.search(np.full(16, 0.25, dtype=np.float32), 1000)
        frames = gallery.frames.read([candidate.item for candidate in found])
        facts = gallery.frames.read_manifest()
        assert len(found) == len(facts) == gallery.manifest.items
        state = {}
        for candidate, own in zip(found, frames):
            item = facts[candidate.item.path]
            assert item._replace(size=0, modified=0, digest='') == candidate.item
            state[item.path] = (item.duration, item.times, item.size, item.modified, item.digest, own.tolist(),
                                round(candidate.score, 5))
        assert len(state) == len(found)  # no path twice
        used = {gallery.frames.path(item.shard) for item in facts.values()}
        assert used == set(gallery.frames.folder.glob('*.npy'))
    return state


def killed_at(step: int, folder: Path, gallery: Path) -> None:
    """Indexes in this process until it is about to change the gallery for the ``step``-th time, and dies."""
    left = step

    def dies(method):
        def call(*args, **kwargs):
            nonlocal left
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            return method(*args, **kwargs)
        return call
    multiprocessing.set_start_method('fork', force=True)  # for its own processes; this one came otherwise
    indexing.SHARD_ITEMS = 2
    for owner, names in ((FrameStore, ['write_shard', 'record', 'tidy']),
                         (VectorStore, ['create', 'add', 'remove', 'flush']),
                         (GalleryManifest, ['write'])):
        for name in names:
            setattr(owner, name, dies(getattr(owner, name)))
    try:
        index(folder, gallery)
    except DataError:
        os._exit(1)
    os._exit(0)
