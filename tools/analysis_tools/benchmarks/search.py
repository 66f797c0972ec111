"""How fast a gallery answers, and how much of the exact answer its first stage finds.

Without --gallery, random vectors and frames are stored in a folder that is deleted, and a query's parts are timed, by
the clock and by the processor; on a machine that does other things too, the latter say more. With --gallery, all items
of a real one are ranked for --queries with the model's similarity; reported is how many of the exact best k are among
the first stage's best N.
"""
import argparse
import tempfile
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import normalize

from benchmarks.core import Workload, print_table, race_costs, save
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
    if args.gallery:
        save(args, 'recall', measure_recall(args))
    else:
        save(args, f'speed of {args.items:,}', measure_speed(args))


def measure_speed(args: argparse.Namespace) -> dict:
    """Times of a query on random vectors, and what they take on the disk."""
    random = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        frames, vectors = FrameStore(Path(folder, 'frames')), VectorStore(f'{folder}/vectors.db', 'benchmark')
        fill(frames, vectors, args)
        queries = cycle(normalize(torch.from_numpy(random.standard_normal((64, args.dim), np.float32)), dim=1).numpy())

        stages = {name: Workload(lambda stage=stage: lambda: stage(frames, vectors, next(queries), args.rerank))
                  for name, stage in (('first stage', first_stage), ('both stages', both_stages))}
        found = race_costs({name: stage.measure for name, stage in stages.items()}, rounds=args.rounds,
                           title=f'A query in {args.items:,} items')
        sizes = {path.name: sum(file.stat().st_size for file in path.rglob('*') if file.is_file())
                 for path in Path(folder).iterdir()}
        vectors.close()
    found['bytes_per_item'] = {name: round(size / args.items) for name, size in sizes.items()}
    print(f'bytes an item: {found["bytes_per_item"]}')
    return found


def fill(frames: FrameStore, vectors: VectorStore, args: argparse.Namespace) -> None:
    """Stores random items, shard by shard."""
    random = np.random.default_rng(0)
    times = [float(second) for second in range(args.frames)]
    frames.folder.mkdir()
    vectors.create(args.dim)
    for start in range(0, args.items, SHARD):
        count = min(SHARD, args.items - start)
        own = random.standard_normal((count, args.frames, args.dim), dtype=np.float32).astype(np.float16)
        items = [Item(start + number, f'folder/{start + number:09d}.mp4', 10.0, start, number * args.frames, times,
                      10**6, 10**18, '0' * 32) for number in range(count)]
        frames.write_shard(start, own.reshape(-1, args.dim))
        frames.record(items)
        vectors.add(items, first_stage_vectors(own))
    vectors.flush()


def first_stage(frames: FrameStore, vectors: VectorStore, query: np.ndarray, rerank: int) -> list[int]:
    """Numbers of the candidates."""
    return [candidate.item for candidate in vectors.search(query, rerank)]


def both_stages(frames: FrameStore, vectors: VectorStore, query: np.ndarray, rerank: int) -> torch.Tensor:
    """Scores of the candidates by QueryScore."""
    tokens = torch.from_numpy(np.stack(frames.read(first_stage(frames, vectors, query, rerank))).astype(np.float32))
    return QueryScore()(Features(torch.from_numpy(query)[None]), Features(tokens.mean(dim=1), tokens))


def measure_recall(args: argparse.Namespace) -> dict:
    """Share of the exact best k that are among the first stage's best N."""
    queries = args.queries.read_text(encoding='utf-8').splitlines()
    with open_gallery(args.gallery) as gallery:
        items = list(gallery.frames.read_manifest().values())
        text = gallery.inferencer.encode_text(queries)
        exact = gallery.inferencer.similarity(text, gallery.features(items))  # (queries, items)
        vectors = torch.from_numpy(first_stage_vectors(gallery.frames.read(items)))
    order = (normalize(text.pooled, dim=-1) @ vectors.T).argsort(dim=1, descending=True)
    found = {f'top {k} in {best}': round(recall(exact, order, k, best), 4)
             for k in (1, 5, 10) for best in (k, 20, 50, 100) if k <= best < exact.shape[1]}
    print_table(f'{len(queries):,} queries in {len(items):,} items', ('', 'recall'), list(found.items()))
    return dict(items=len(items), queries=len(queries), recall=found)


def recall(exact: torch.Tensor, order: torch.Tensor, k: int, best: int) -> float:
    """Share of each row's k largest ``exact`` scores that are among the first ``best`` columns of ``order``."""
    wanted = exact.topk(k, dim=1).indices
    return float((wanted[:, :, None] == order[:, None, :best]).any(dim=2).float().mean())
