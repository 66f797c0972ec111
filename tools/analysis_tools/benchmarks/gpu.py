"""All about a GPU in one run of a few minutes: clips per second, share of the peak, memory, input pipeline.

    python tools/analysis_tools/benchmark.py gpu --official Cross-Modal-Adapter --clips DIR --out gpu.json

The step is that of `train` with the paper's batch. The released code trains in float16, as its README's command does;
ours and full fine-tuning under bf16. Frames come from the host's memory in every step. A way that runs out of memory is
tried again with half the batch. Loss and gradients are compared first, on a small batch. Which operations count as a
share of the peak is said in benchmarks/flops.py. Beside the steps stands what decoding and resizing the videos of
--clips gives on all cores. Without a GPU all of it runs in the smallest sizes, to be tried out.
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

from benchmarks.paired import Apart, add_common_arguments, print_table, save, spread
from benchmarks.ways import add_step_arguments, setting, size_of, way_names

CHECKED = 8  # videos of the batch on which the ways are compared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of this sub-command."""
    add_step_arguments(parser, default=('bf16', 'bf16-compiled', 'bf16-checkpointed', 'full-bf16'))
    parser.set_defaults(backbone='vit-b16', batch=128)
    parser.add_argument('--peak-tflops', type=float, metavar='N',
                        help="the GPU's stated dense bf16 peak (default: what a large product reaches on it)")
    parser.add_argument('--clips', type=Path, metavar='DIR', help='videos for the rate of the input pipeline')
    add_common_arguments(parser, rounds=10)


def run(args: argparse.Namespace) -> None:
    """Checks, measures, prints and saves."""
    import torch

    from benchmarks.steps import compare
    if not torch.cuda.is_available():
        print('no GPU: smallest sizes, whose figures say nothing')
        args.tiny, args.batch, args.frames = True, 2, 2
    firsts = {}
    for name in way_names(args):
        with one_step(name, args, min(args.batch, CHECKED)) as step:
            firsts[name] = step.call('first')
    errors = compare(firsts)
    peak = 1e12 * args.peak_tflops if args.peak_tflops else product_rate()
    found = {name: measure(name, args, peak) for name in way_names(args)}
    pipeline = pipeline_rate(args.clips, args.rounds) if args.clips else None
    report(found, peak, pipeline, args)
    save(args, f'gpu {setting(args)}', dict(ways=found, errors=errors, peak_flops=peak, input_pipeline=pipeline))


@contextmanager
def one_step(name: str, args: argparse.Namespace, batch: int) -> Iterator[Apart]:
    """A way's process on weights and a batch of its own."""
    from benchmarks.steps import open_step, write_job
    with tempfile.TemporaryDirectory() as folder:
        write_job(Path(folder), argparse.Namespace(**{**vars(args), 'batch': batch}))
        with open_step(name, Path(folder), args) as step:
            yield step


def measure(name: str, args: argparse.Namespace, peak: float) -> dict:
    """Clips per second, share of the ``peak`` in floating point operations per second, and memory."""
    import torch

    from benchmarks.flops import clip_flops
    batch = args.batch
    while True:
        try:
            with one_step(name, args, batch) as step:
                warm = [step.call('seconds') for _ in range(2)]
                seconds = [step.call('seconds') for _ in range(args.rounds)]
                memory = step.call('peak')
            break
        except torch.OutOfMemoryError:
            if batch == 1:
                raise
            batch //= 2
    flops = clip_flops(size_of(args), frames=args.frames, words=args.words,
                       full=name.startswith('full'))
    rate = batch / median(seconds)
    return dict(batch=batch, seconds=spread(seconds), first_seconds=warm[0], clips_per_second=rate,
                flops_a_clip=flops, share_of_peak=rate * flops / peak, peak_bytes=memory)


def product_rate() -> float:
    """Floating point operations per second of a large bf16 product: the best of ten."""
    import torch

    from mmcma.engine.step_cost import timed
    size, device = (8192, 'cuda') if torch.cuda.is_available() else (256, 'cpu')
    left, right = (torch.randn(size, size, dtype=torch.bfloat16, device=device) for _ in range(2))
    left @ right
    return 2 * size**3 / min(timed(lambda: left @ right) for _ in range(10))


def pipeline_rate(clips: Path, rounds: int) -> dict:
    """Clips per second that decoding, resizing and packing give on all cores, each clip ``rounds`` times."""
    from benchmark_data import STEPS, list_clips
    from mmengine.dataset import Compose
    from torch.utils.data import DataLoader

    from mmcma.registry import TRANSFORMS
    prepare = Compose([TRANSFORMS.build(step) for step in (*STEPS, dict(type='PackRetrievalInputs'))])
    items = list_clips(clips) * rounds
    workers = os.cpu_count()
    batches = iter(DataLoader(items, batch_size=8, num_workers=workers,
                              collate_fn=lambda batch: [prepare(dict(item)) for item in batch]))
    ready = sum(len(batch) for batch in itertools.islice(batches, workers))  # the workers have started
    began = time.perf_counter()
    rest = sum(len(batch) for batch in batches)
    return dict(workers=workers, clips=ready + rest, clips_per_second=rest / (time.perf_counter() - began))


def report(found: dict, peak: float, pipeline: dict | None, args: argparse.Namespace) -> None:
    """The table of all ways, and the pipeline below."""
    base = next(iter(found))
    print_table(f'Training step, {setting(args)}; peak {peak / 1e12:.3g} TFLOP/s', (
        '', 'batch', 'clips/s', f'times {base}', 'share of peak', 'GiB beyond weights'), [
        (name, way['batch'], f'{way["clips_per_second"]:.1f}',
         f'{way["clips_per_second"] / found[base]["clips_per_second"]:.2f}', f'{way["share_of_peak"]:.3f}',
         f'{way["peak_bytes"] / 2**30:.2f}') for name, way in found.items()])
    if pipeline:
        print(f'input pipeline: {pipeline["clips_per_second"]:.1f} clips/s by {pipeline["workers"]} workers')
