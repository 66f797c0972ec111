"""Work on random tensors: each function prepares it for its sizes and returns it, a function without arguments."""
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from benchmarks.variants import CONFIGS
from mmcma.apis import export_adapter, load_adapter
from mmcma.config import load_config
from mmcma.evaluation import TiledScores, retrieval_ranks
from mmcma.models.similarities import QueryScore, chunks
from mmcma.registry import MODELS
from mmcma.structures import Features

TEMPERATURE = 5.0
TOP, TILE = 5, 512  # best items of each text, and sides of a tile: those of a test


def embeddings(size: int, frames: int, dim: int) -> tuple[Tensor, Tensor]:
    """Texts ``(size, dim)`` and frames ``(size, frames, dim)``, float32, about as long as CLIP's for 512."""
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(size, dim, generator=generator).mul_(0.45),
            torch.randn(size, frames, dim, generator=generator).mul_(0.45))


def our_scores(*sizes: int) -> Callable[[], np.ndarray]:
    """Cosines of all texts and videos of :func:`embeddings` by QueryScore, from products of texts and frames."""
    text, frames = embeddings(*sizes)
    similarity = QueryScore(temperature=TEMPERATURE)
    return lambda: similarity(Features(text), Features(frames[:, 0], frames)).numpy()


def plain_scores(*sizes: int) -> Callable[[], np.ndarray]:
    """The formula as the released code has it, with the pooled video of each pair, ``(N, M, D)``."""
    text, frames = embeddings(*sizes)

    def work() -> np.ndarray:
        weights = (torch.einsum('nd,mtd->nmt', text, frames) / TEMPERATURE).softmax(dim=-1)
        return cosine_similarity(text[:, None], torch.einsum('nmt,mtd->nmd', weights, frames), dim=-1).numpy()
    return work


def vectors(size: int, dim: int) -> tuple[Tensor, Tensor]:
    """Random texts and items, float32 ``(size, dim)`` of length 1, each text near its item."""
    generator = torch.Generator().manual_seed(0)
    visual = normalize(torch.randn(size, dim, generator=generator), dim=-1)
    noise = torch.randn(size, dim, generator=generator).mul_(6 / dim**0.5)
    return normalize(noise.add_(visual), dim=-1), visual


def tiled_ranks(size: int, dim: int) -> Callable[[], np.ndarray]:
    """Ranks of own items and texts, and the best items of each text, of :func:`vectors`, as a test takes them."""
    text, visual = map(Features, vectors(size, dim))
    scores = TiledScores(lambda text, visual: text.pooled @ visual.pooled.T, text, visual)

    def work() -> np.ndarray:
        ranks = retrieval_ranks(scores, range(size), top_k=TOP, text_block=TILE, visual_block=TILE)
        return torch.cat([ranks.t2v[:, None], ranks.v2t[:, None], ranks.top_items], dim=1).numpy()
    return work


def sorted_ranks(size: int, dim: int) -> Callable[[], np.ndarray]:
    """The same by sorting the whole matrix of scores."""
    text, visual = vectors(size, dim)
    own = torch.arange(size)[:, None]

    def work() -> np.ndarray:
        matrix = text @ visual.T
        orders = [scores.argsort(dim=1, descending=True) for scores in (matrix, matrix.T)]
        ranks = [(order == own).nonzero()[:, 1:] + 1 for order in orders]
        return torch.cat([*ranks, orders[0][:, :TOP]], dim=1).numpy()
    return work


def loss(pairs: int, frames: int, dim: int, tiled: bool) -> Callable[[], tuple[Tensor, ...]]:
    """The contrastive loss of a global batch, forward and backward: the gradients of texts and frames.

    Args:
        pairs: Texts, and videos.
        frames: Frames of a video.
        dim: Width of an embedding.
        tiled: Whether scores are computed in chunks, and again in the backward pass, where they are many.
    """
    if not tiled:
        chunks.VALUES_AT_ONCE = sys.maxsize
    head = MODELS.build(dict(type='RetrievalHead', similarity=dict(type='QueryScore'),
                             loss=dict(type='SymmetricInfoNCE')))
    head.bind(embed_dim=dim, logit_scale=4.6)
    text, video = (side.requires_grad_() for side in embeddings(pairs, frames, dim))
    return lambda: torch.autograd.grad(
        head.loss(Features(text), Features(video[:, 0], video), torch.arange(pairs))['loss'], (text, video))


def held_adapters(count: int) -> Callable[[], None]:
    """Loading the same adapter on one small CLIP under so many names."""
    cfg = load_config(str(CONFIGS / 'cma' / 'cma_tiny_glyphmotion.py'))
    model = MODELS.build(cfg.model)
    model.cfg = cfg
    folder = tempfile.TemporaryDirectory()

    def work(names: tuple[str, ...] = tuple(f'adapter{number}' for number in range(count))) -> None:
        for name in names:
            load_adapter(model, name, Path(folder.name, 'adapter'))

    export_adapter(model, Path(folder.name, 'adapter'))
    work(('first',))  # what is imported on first use is no adapter's
    return work
