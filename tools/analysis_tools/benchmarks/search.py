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
from mmcma.search import Moment, open_gallery
from mmcma.search.gallery import features_of
from mmcma.search.manifest import FORM, GalleryManifest
from mmcma.search.moment_table import MomentTable
from mmcma.search.rows import first_stage_vectors
from mmcma.search.writer import GalleryWriter
from mmcma.structures import Features
from mmcma.utils.errors import ConfigError

#: Rows of a commit.
ROWS = 4096


def search(args: argparse.Namespace) -> None:
    """Measures, prints and saves."""
    if args.tiny:
        args.items = min(args.items, 50)
    if args.gallery and args.queries is None:
        raise ConfigError(f'--gallery {args.gallery} needs --queries FILE, with a text in each line')
    if args.gallery:
        save(args, 'recall', measure_recall(args))
    else:
        save(args, f'speed of {args.items:,}', measure_speed(args))


def measure_speed(args: argparse.Namespace) -> dict:
    """Times of a query on random vectors, and what they take on the disk."""
    random = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        moments = filled(folder, args)
        queries = cycle(normalize(torch.from_numpy(random.standard_normal((64, args.dim), np.float32)), dim=1).numpy())
        both = Workload(lambda: lambda: both_stages(moments, next(queries), args.rerank))
        found = race_costs({'both stages': both.measure}, rounds=args.rounds,
                           title=f'A query in {args.items:,} moments')
        size = sum(file.stat().st_size for file in Path(folder).rglob('*') if file.is_file())
    found['bytes_per_item'] = round(size / args.items)
    print(f'bytes a moment: {found["bytes_per_item"]:,}')
    return found


def filled(folder: str, args: argparse.Namespace) -> MomentTable:
    """A table of random moments, of a file each, with an index of vectors where it is large enough for one."""
    random, writer = np.random.default_rng(0), GalleryWriter(folder, GalleryManifest(FORM, folder, '', None, ''))
    times = [float(second) for second in range(args.frames)]
    for start in range(0, args.items, ROWS):
        count = min(ROWS, args.items - start)
        own = random.standard_normal((count, args.frames, args.dim), dtype=np.float32).astype(np.float16)
        writer.add([Moment(f'folder/{start + number:09d}.mp4', 0.0, 10.0, 10.0, times, frames, 1, '0' * 32, 10**6,
                           10**18) for number, frames in enumerate(own)])
    writer.finish({})
    return MomentTable(folder, writer.manifest)


def both_stages(moments: MomentTable, query: np.ndarray, rerank: int) -> torch.Tensor:
    """Scores of the candidates by QueryScore."""
    return QueryScore()(Features(torch.from_numpy(query)[None]), features_of(moments.search(query, rerank)))


def measure_recall(args: argparse.Namespace) -> dict:
    """Share of the exact best k that are among the first stage's best N."""
    queries, gallery = args.queries.read_text(encoding='utf-8').splitlines(), open_gallery(args.gallery)
    items = [moment for path in gallery.paths() for moment in gallery.moments_of(path)]
    text = gallery.inferencer.encode_text(queries)
    exact = gallery.inferencer.similarity(text, features_of(items))  # (queries, items)
    vectors = torch.from_numpy(first_stage_vectors([item.frames for item in items]))
    order = (normalize(text.pooled, dim=-1) @ vectors.T).argsort(dim=1, descending=True)
    found = {f'top {k} in {best}': round(recall(exact, order, k, best), 4)
             for k in (1, 5, 10) for best in (k, 20, 50, 100) if k <= best < exact.shape[1]}
    print_table(f'{len(queries):,} queries in {len(items):,} items', ('', 'recall'), list(found.items()))
    return dict(items=len(items), queries=len(queries), recall=found)


def recall(exact: torch.Tensor, order: torch.Tensor, k: int, best: int) -> float:
    """Share of each row's k largest ``exact`` scores that are among the first ``best`` columns of ``order``."""
    wanted = exact.topk(k, dim=1).indices
    return float((wanted[:, :, None] == order[:, None, :best]).any(dim=2).float().mean())
