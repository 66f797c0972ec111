"""All about a GPU in one run of a few minutes: clips per second, share of the peak, memory, input pipeline.

The step is that of `train` with the paper's batch. The released code trains in float16, as its README's command does;
ours and full fine-tuning under bf16. Frames come from the host's memory in every step. A variant that runs out of
memory is tried again with half the batch. Loss and gradients are compared first, on a small batch. Which operations
count as a share of the peak is said in flops.py.
"""
import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import torch
from mmengine.dataset import Compose
from torch.utils.data import DataLoader

from benchmarks import data
from benchmarks.core import IsolatedProcess, print_table, save, spread, timed
from benchmarks.flops import clip_flops
from benchmarks.steps import write_job
from benchmarks.training import compare, open_step
from benchmarks.variants import setting, size_of, variant_names
from mmcma.registry import TRANSFORMS

CHECKED = 8  # videos of the batch on which the variants are compared


def gpu(args: argparse.Namespace) -> None:
    """Checks, measures, prints and saves."""
    if not torch.cuda.is_available():
        print('no GPU: smallest sizes, whose figures say nothing')
        args.tiny, args.batch, args.frames = True, 2, 2
    firsts = {}
    for name in variant_names(args):
        with one_step(name, args, min(args.batch, CHECKED)) as step:
            firsts[name] = step.call('first')
    errors = compare(firsts)
    peak = 1e12 * args.peak_tflops if args.peak_tflops else product_rate()
    found = {name: measure(name, args, peak) for name in variant_names(args)}
    pipeline = pipeline_rate(args.clips, args.rounds) if args.clips else None
    base = next(iter(found.values()))['clips_per_second']
    print_table(f'Training step, {setting(args)}; peak {peak / 1e12:.3g} TFLOP/s', (
        '', 'batch', 'clips/s', f'times {next(iter(found))}', 'share of peak', 'GiB beyond weights'), [
        (name, own['batch'], f'{own["clips_per_second"]:.1f}', f'{own["clips_per_second"] / base:.2f}',
         f'{own["share_of_peak"]:.3f}', f'{own["peak_bytes"] / 2**30:.2f}') for name, own in found.items()])
    if pipeline:
        print(f'input pipeline: {pipeline["clips_per_second"]:.1f} clips/s by {pipeline["workers"]} workers')
    save(args, f'gpu {setting(args)}', dict(ways=found, errors=errors, peak_flops=peak, input_pipeline=pipeline))


@contextmanager
def one_step(name: str, args: argparse.Namespace, batch: int) -> Iterator[IsolatedProcess]:
    """A variant's process on weights and a batch of its own."""
    with tempfile.TemporaryDirectory() as folder:
        write_job(Path(folder), argparse.Namespace(**{**vars(args), 'batch': batch}))
        with open_step(name, Path(folder), args) as step:
            yield step


def measure(name: str, args: argparse.Namespace, peak: float) -> dict:
    """Clips per second, share of the ``peak`` in floating point operations per second, and memory."""
    batch = args.batch
    while True:
        try:
            with one_step(name, args, batch) as step:
                warm, _, *costs = [step.call('measure') for _ in range(2 + args.rounds)]
            break
        except torch.OutOfMemoryError:
            if batch == 1:
                raise
            batch //= 2
    seconds = [cost.seconds for cost in costs]
    flops = clip_flops(size_of(args), frames=args.frames, words=args.words, full=name.startswith('full'))
    rate = batch / median(seconds)
    return dict(batch=batch, seconds=spread(seconds), first_seconds=warm.seconds, clips_per_second=rate,
                flops_a_clip=flops, share_of_peak=rate * flops / peak,
                peak_bytes=max(cost.peak_bytes for cost in costs))


def product_rate() -> float:
    """Floating point operations per second of a large bf16 product: the best of ten."""
    size, device = (8192, 'cuda') if torch.cuda.is_available() else (256, 'cpu')
    left, right = (torch.randn(size, size, dtype=torch.bfloat16, device=device) for _ in range(2))
    left @ right
    return 2 * size**3 / min(timed(lambda: left @ right) for _ in range(10))


def pipeline_rate(clips: Path, rounds: int) -> dict:
    """Clips per second that decoding, resizing and packing give on all cores, each clip ``rounds`` times."""
    prepare = Compose([TRANSFORMS.build(step) for step in (*data.STEPS, dict(type='PackRetrievalInputs'))])
    items = data.list_clips(clips) * rounds
    workers = os.cpu_count()
    batches = iter(DataLoader(items, batch_size=8, num_workers=workers,
                              collate_fn=lambda batch: [prepare(dict(item)) for item in batch]))
    ready = sum(len(batch) for batch in itertools.islice(batches, workers))  # the workers have started
    began = time.perf_counter()
    rest = sum(len(batch) for batch in batches)
    return dict(workers=workers, clips=ready + rest, clips_per_second=rest / (time.perf_counter() - began))
