"""The similarity that weighs frames by the query: every text against every video, as a test does.

The released formula pools each video for each text, N x M x D values; QueryScore needs N x M x T at most, and a few
videos' at a time. Both must give the same cosines. Then ours scores a larger set, of which the released formula could
not even hold its pooled videos; a few rows of it are checked.
"""
import argparse
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from benchmarks.core import IsolatedProcess, Workload, agree, print_table, print_times, race, save, summarise
from benchmarks.released import SETTINGS, make_importable
from benchmarks.variants import RELEASED
from mmcma.models.similarities import QueryScore
from mmcma.structures import Features

TEMPERATURE = 5.0
TOLERANCE = 1e-5  # float32 sums in another order
CHECKED_ROWS = 8


def similarity(args: argparse.Namespace) -> None:
    """Checks, measures, prints and saves."""
    if args.tiny:
        args.size, args.large = min(args.size, 20), min(args.large, 50)
    found, error = compare(args)
    print_times(found, base=next(iter(found)),
                title=f'{args.size:,} texts, {args.size:,} videos, {args.frames} frames, {args.dim}')
    large = score_large(args)
    pooled = 4 * args.large**2 * args.dim
    print_table(f'{args.large:,} x {args.large:,}', ('', 'seconds', 'peak, MiB', 'process, MiB'), [
        ('ours', f'{large["seconds"]:.3g}', large['peak_bytes'] >> 20, large['process_bytes'] >> 20),
        ('released: pooled videos alone', '', pooled >> 20, '')])
    save(args, 'similarity', dict(ways=found, error=error, large=dict(large, pooled_videos_bytes=pooled)))


def compare(args: argparse.Namespace) -> tuple[dict, float]:
    """Seconds and peak memory of each variant, and how far ours is off the first."""
    sizes = (args.size, args.frames, args.dim)
    base = ('plain', PlainScores) if args.official is None else (RELEASED, ReleasedScores, args.official)
    with ExitStack() as stack:
        variants = {name: stack.enter_context(IsolatedProcess(*factory, *sizes))
                    for name, *factory in (base, ('ours', OurScores))}
        theirs, ours = (variant.call('scores') for variant in variants.values())
        error = compared(ours, theirs)
        costs = race({name: lambda variant=variant: variant.call('measure') for name, variant in variants.items()},
                     rounds=args.rounds)
    found = summarise({name: [cost.seconds for cost in own] for name, own in costs.items()}, base[0])
    for name, own in costs.items():
        found[name]['peak_bytes'] = own[-1].peak_bytes
    return found, error


def score_large(args: argparse.Namespace) -> dict:
    """Cost of ours alone, in a fresh process; its first rows are checked against the plain formula."""
    sizes = (args.large, args.frames, args.dim)
    with IsolatedProcess(OurScores, *sizes) as ours, IsolatedProcess(PlainScores, *sizes, CHECKED_ROWS) as plain:
        costs = [ours.call('measure') for _ in range(3)]
        error = compared(ours.call('scores', CHECKED_ROWS), plain.call('scores'))
    return dict(seconds=min(cost.seconds for cost in costs), peak_bytes=costs[0].peak_bytes,
                process_bytes=costs[0].process_bytes, error=error)


def compared(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The relative error of the cosines, printed."""
    error = agree(ours, theirs, tolerance=TOLERANCE, what='ours: cosines')
    print(f'cosines agree, off by {error:.1g}')
    return error


class Scores(Workload):
    """Scores of all texts and videos; ``score`` of a subclass gives cosines ``(N, M)``.

    Args:
        size: Number of texts, and of videos.
        frames: Frames of a video.
        dim: Length of an embedding; its length is about that of CLIP's for 512.
        rows: Only the first texts; None for all.
    """

    def __init__(self, size: int, frames: int, dim: int, rows: int | None = None) -> None:
        generator = torch.Generator().manual_seed(0)
        self.text = torch.randn(size, dim, generator=generator).mul_(0.45)[:rows]
        self.frames = torch.randn(size, frames, dim, generator=generator).mul_(0.45)
        self.mask = torch.ones(size, frames, dtype=torch.bool)
        self.ready()

    @torch.no_grad()
    def work(self) -> Tensor:
        """Scores once."""
        return self.score()

    def scores(self, rows: int | None = None) -> np.ndarray:
        """The cosines of the first texts."""
        return self.work()[:rows].numpy()


class OurScores(Scores):
    """QueryScore."""
    similarity = QueryScore(temperature=TEMPERATURE)

    def score(self) -> Tensor:
        """Cosines by the products of texts and frames."""
        return self.similarity(Features(self.text), Features(self.frames[:, 0], self.frames, self.mask))


class PlainScores(Scores):
    """The formula as it stands, with the pooled video of each pair: ``(N, M, D)``."""

    def score(self) -> Tensor:
        """Cosines of texts and pooled videos."""
        weights = (torch.einsum('nd,mtd->nmt', self.text, self.frames) / TEMPERATURE).softmax(dim=-1)
        pooled = torch.einsum('nmt,mtd->nmd', weights, self.frames)
        return torch.nn.functional.cosine_similarity(self.text[:, None], pooled, dim=-1)


class ReleasedScores(Scores):
    """What the released code's model computes of features when it is tested, its ``_loose_similarity``."""

    def __init__(self, checkout: Path, *sizes) -> None:
        make_importable(checkout)
        from modules.modeling_jointvt_upshare_adapter import CLIP4Clip
        # Only what it reads of itself; a scale of 1 leaves the cosines as they are.
        model = SimpleNamespace(training=False, clip=SimpleNamespace(logit_scale=torch.zeros(())),
                                task_config=SimpleNamespace(**{**SETTINGS, 'q_score_temp': TEMPERATURE}))
        model.q_score = lambda *args, **kwargs: CLIP4Clip.q_score(model, *args, **kwargs)
        self.score = lambda: CLIP4Clip._loose_similarity(model, self.text[:, None], self.frames, None, self.mask.long())
        super().__init__(*sizes)
