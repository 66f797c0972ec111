"""How fast a gallery answers, and how much of the exact answer its first stage finds.

    python tools/analysis_tools/benchmark_gallery.py --items 100000 --out docs/results/gallery_benchmark.json
    python tools/analysis_tools/benchmark_gallery.py --gallery gallery/ --queries captions.txt

The first makes a gallery of random unit vectors and frames, in a folder that it deletes, and times a query's parts. The
second takes a real gallery and texts, a line each, ranks all of its items with the model's similarity, and reports how
many of the exact best k are among the first stage's best N, for vectors pooled in three ways. Milliseconds are those of
the clock and, beside them, of the processor, all threads together: on a machine that does other things too, the latter
say more.
"""
from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from mmcma.cli.arguments import run_tool

if TYPE_CHECKING:
    import numpy as np
    import torch

SHARD = 4096


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--items', type=int, default=100_000, help='of the random gallery (default: 100,000)')
    parser.add_argument('--dim', type=int, default=512, help='of its vectors (default: 512)')
    parser.add_argument('--frames', type=int, default=12, help='of each of its items (default: 12)')
    parser.add_argument('--rerank', type=int, default=100, help='candidates that are read (default: 100)')
    parser.add_argument('--rounds', type=int, default=30, help='queries (default: 30)')
    parser.add_argument('--gallery', metavar='DIR', help='measure the recall of this gallery instead')
    parser.add_argument('--queries', type=Path, metavar='FILE', help='texts for --gallery, a line each')
    parser.add_argument('--out', type=Path, metavar='FILE', help='add the figures to this JSON file')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    found = measure_recall(args) if args.gallery else measure_speed(args)
    print(json.dumps(found, indent=1))
    if args.out:
        known = json.loads(args.out.read_text()) if args.out.exists() else {}
        known['recall' if args.gallery else f'speed of {args.items:,}'] = found
        args.out.write_text(json.dumps(known, indent=1) + '\n')


def measure_speed(args: argparse.Namespace) -> dict:
    """Times of a query on random vectors, and what they take on the disk."""
    import numpy as np

    from mmcma.search.frame_store import FrameStore
    from mmcma.search.vector_store import VectorStore
    with tempfile.TemporaryDirectory() as folder:
        frames, vectors = FrameStore(Path(folder, 'frames')), VectorStore(f'{folder}/vectors.db', 'benchmark')
        vectors.create(args.dim)
        seconds, processor = timed(lambda: fill(frames, vectors, args))
        random = np.random.default_rng(1)
        queries = unit(random.standard_normal((args.rounds + 1, args.dim)))
        vectors.search(queries[-1], args.rerank)  # reads the index
        first = [timed(lambda query=query: vectors.search(query, args.rerank)) for query in queries[:-1]]
        second = [timed(lambda query=query: rerank(frames, vectors.search(query, args.rerank), query))
                  for query in queries[:-1]]
        sizes = {path.name: sum(file.stat().st_size for file in path.rglob('*') if file.is_file())
                 for path in Path(folder).iterdir()}
        vectors.close()
    return dict(items=args.items, dim=args.dim, frames=args.frames, rerank=args.rerank,
                filling=dict(items_per_second=round(args.items / seconds), processor_seconds=round(processor, 1)),
                first_stage=summary(first), both_stages=summary(second),
                bytes_per_item={name: round(size / args.items) for name, size in sizes.items()})


def fill(frames, vectors, args: argparse.Namespace) -> None:
    """Stores random items, shard by shard."""
    import numpy as np

    from mmcma.search.frame_store import Item
    from mmcma.search.gallery import first_stage_vectors
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


def rerank(frames, candidates: list, query: np.ndarray) -> torch.Tensor:
    """Scores of the candidates by QueryScore."""
    import numpy as np
    import torch

    from mmcma.models.similarities import QueryScore
    from mmcma.structures import Features
    tokens = torch.from_numpy(np.stack(frames.read([candidate.item for candidate in candidates])).astype(np.float32))
    return QueryScore()(Features(torch.from_numpy(query)[None]), Features(tokens.mean(dim=1), tokens))


def measure_recall(args: argparse.Namespace) -> dict:
    """Share of the exact best k that are among the first stage's best N."""
    import torch

    from mmcma.search import open_gallery
    queries = args.queries.read_text(encoding='utf-8').splitlines()
    with open_gallery(args.gallery) as gallery:
        visual = gallery.features(list(gallery.frames.read_manifest().values()))
        text = gallery.inferencer.encode_text(queries)
        exact = gallery.inferencer.similarity(text, visual)  # (queries, items)
    mask = visual.mask[..., None]
    frames = torch.nn.functional.normalize(visual.tokens, dim=-1) * mask
    pooled = {'mean of unit frames': frames.sum(dim=1), 'mean of frames': visual.pooled,
              'largest of unit frames': frames.masked_fill(~mask, -2).amax(dim=1)}
    queries_unit = torch.nn.functional.normalize(text.pooled, dim=-1)
    recalls = {}
    for name, vectors in pooled.items():
        order = (queries_unit @ torch.nn.functional.normalize(vectors, dim=-1).T).argsort(dim=1, descending=True)
        recalls[name] = {f'top {k} in {best}': round(recall(exact, order, k, best), 4)
                         for k in (1, 5, 10) for best in (k, 20, 50, 100) if k <= best < exact.shape[1]}
    return dict(items=exact.shape[1], queries=len(queries), recall=recalls)


def recall(exact: torch.Tensor, order: torch.Tensor, k: int, best: int) -> float:
    """Share of each row's k largest ``exact`` scores that are among the first ``best`` columns of ``order``."""
    wanted = exact.topk(k, dim=1).indices
    return float((wanted[:, :, None] == order[:, None, :best]).any(dim=2).float().mean())


def unit(vectors: np.ndarray) -> np.ndarray:
    import numpy as np
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor


def summary(seconds: list[tuple[float, float]]) -> dict:
    clock, processor = zip(*seconds)
    return dict(median_ms=round(1000 * median(clock)), best_ms=round(1000 * min(clock)),
                processor_ms=round(1000 * median(processor)))


if __name__ == '__main__':
    run_tool(main)
