"""How fast a gallery answers, and how much of the exact answer its first stage finds.

Without --gallery, random unit vectors and frames are stored in a folder that is deleted, and a query's parts are timed:
milliseconds of the clock and, beside them, of the processor, all threads together; on a machine that does other things
too, the latter say more. With --gallery, all items of a real one are ranked for --queries with the model's similarity;
reported is how many of the exact best k are among the first stage's best N, for vectors pooled in three ways.
"""
import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch.nn.functional import normalize

from benchmarks.core import add_to_file
from mmcma.models.similarities import QueryScore
from mmcma.search import open_gallery
from mmcma.search.frame_store import FrameStore, Item
from mmcma.search.gallery import first_stage_vectors
from mmcma.search.vector_store import VectorStore
from mmcma.structures import Features

SHARD = 4096


def search(args: argparse.Namespace) -> None:
    """Measures, prints and saves."""
    if args.tiny:
        args.items = min(args.items, 50)
    found = measure_recall(args) if args.gallery else measure_speed(args)
    print(json.dumps(found, indent=1))
    add_to_file(args.out, 'recall' if args.gallery else f'speed of {args.items:,}', found)


def measure_speed(args: argparse.Namespace) -> dict:
    """Times of a query on random vectors, and what they take on the disk."""
    with tempfile.TemporaryDirectory() as folder:
        frames, vectors = FrameStore(Path(folder, 'frames')), VectorStore(f'{folder}/vectors.db', 'benchmark')
        vectors.create(args.dim)
        seconds, processor = both_clocks(lambda: fill(frames, vectors, args))
        queries = np.random.default_rng(1).standard_normal((args.rounds + 1, args.dim), dtype=np.float32)
        last, *queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
        vectors.search(last, args.rerank)  # reads the index
        first = [both_clocks(lambda query=query: vectors.search(query, args.rerank)) for query in queries]
        both = [both_clocks(lambda query=query: rerank(frames, vectors.search(query, args.rerank), query))
                for query in queries]
        sizes = {path.name: sum(file.stat().st_size for file in path.rglob('*') if file.is_file())
                 for path in Path(folder).iterdir()}
        vectors.close()
    return dict(items=args.items, dim=args.dim, frames=args.frames, rerank=args.rerank,
                filling=dict(items_per_second=round(args.items / seconds), processor_seconds=round(processor, 1)),
                first_stage=milliseconds(first), both_stages=milliseconds(both),
                bytes_per_item={name: round(size / args.items) for name, size in sizes.items()})


def fill(frames: FrameStore, vectors: VectorStore, args: argparse.Namespace) -> None:
    """Stores random items, shard by shard."""
    random = np.random.default_rng(0)
    times = [float(second) for second in range(args.frames)]
    frames.folder.mkdir()
    for start in range(0, args.items, SHARD):
        count = min(SHARD, args.items - start)
        own = random.standard_normal((count, args.frames, args.dim), dtype=np.float32).astype(np.float16)
        items = [Item(start + number, f'folder/{start + number:09d}.mp4', 10.0, start, number * args.frames, times,
                      10**6, 10**18, '0' * 32) for number in range(count)]
        frames.write_shard(start, own.reshape(-1, args.dim))
        frames.record(items)
        vectors.add(items, first_stage_vectors(own))
    vectors.flush()


def rerank(frames: FrameStore, candidates: list, query: np.ndarray) -> torch.Tensor:
    """Scores of the candidates by QueryScore."""
    tokens = torch.from_numpy(np.stack(frames.read([candidate.item for candidate in candidates])).astype(np.float32))
    return QueryScore()(Features(torch.from_numpy(query)[None]), Features(tokens.mean(dim=1), tokens))


def both_clocks(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor


def milliseconds(seconds: list[tuple[float, float]]) -> dict[str, int]:
    """Many :func:`both_clocks` in short."""
    clock, processor = zip(*seconds)
    return dict(median_ms=round(1000 * median(clock)), best_ms=round(1000 * min(clock)),
                processor_ms=round(1000 * median(processor)))


def measure_recall(args: argparse.Namespace) -> dict:
    """Share of the exact best k that are among the first stage's best N."""
    queries = args.queries.read_text(encoding='utf-8').splitlines()
    with open_gallery(args.gallery) as gallery:
        visual = gallery.features(list(gallery.frames.read_manifest().values()))
        text = gallery.inferencer.encode_text(queries)
        exact = gallery.inferencer.similarity(text, visual)  # (queries, items)
    mask = visual.mask[..., None]
    frames = normalize(visual.tokens, dim=-1) * mask
    pooled = {'mean of unit frames': frames.sum(dim=1), 'mean of frames': visual.pooled,
              'largest of unit frames': frames.masked_fill(~mask, -2).amax(dim=1)}
    recalls = {}
    for name, vectors in pooled.items():
        order = (normalize(text.pooled, dim=-1) @ normalize(vectors, dim=-1).T).argsort(dim=1, descending=True)
        recalls[name] = {f'top {k} in {best}': round(recall(exact, order, k, best), 4)
                         for k in (1, 5, 10) for best in (k, 20, 50, 100) if k <= best < exact.shape[1]}
    return dict(items=exact.shape[1], queries=len(queries), recall=recalls)


def recall(exact: torch.Tensor, order: torch.Tensor, k: int, best: int) -> float:
    """Share of each row's k largest ``exact`` scores that are among the first ``best`` columns of ``order``."""
    wanted = exact.topk(k, dim=1).indices
    return float((wanted[:, :, None] == order[:, None, :best]).any(dim=2).float().mean())
