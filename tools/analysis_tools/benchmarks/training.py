"""Time and memory of one training step, on random weights and data.

A step is forward, backward and optimizer. Loss and gradients of the adapters must agree with the first variant's, which
is the released code in float32 where there is one; on a GPU it trains in float16, as its README's command does. Memory
counts activations, gradients and the optimizer's state, and not weights and batch. On a GPU the share of its peak is
told too; a variant that runs out of memory there is tried again with half the batch.
"""
import argparse
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import numpy as np
import torch

from benchmarks.core import agree, isolated, print_table, race_costs, save, spread
from benchmarks.released import ReleasedStep
from benchmarks.steps import step_of_variant, write_job
from benchmarks.variants import EXACT, RELEASED, VARIANTS, setting, size_of, variant_names

CHECKED = 8  # videos of the batch on which variants that do not run at the same time are compared


def train(args: argparse.Namespace) -> None:
    """Seconds of each variant, in turns; all of their processes are there at once."""
    with ExitStack() as stack:
        steps = {name: stack.enter_context(open_step(name, args, args.batch)) for name in variant_names(args)}
        errors = compare({name: step.call('first') for name, step in steps.items()})
        found = race_costs({name: partial(step.call, 'measure') for name, step in steps.items()}, rounds=args.rounds,
                           title=f'Training step, {setting(args)}')
    save(args, f'train {setting(args)}', dict(ways=found, errors=errors))


def alone(args: argparse.Namespace) -> None:
    """Memory and speed of each variant, one after the other; of ``gpu`` the share of the peak too.

    Without a GPU ``gpu`` runs in the smallest sizes.
    """
    if args.command == 'gpu' and not torch.cuda.is_available():
        print('no GPU: smallest sizes, whose figures say nothing')
        args.tiny, args.batch, args.frames = True, 2, 2
    errors, found = check(args), {name: measure(name, args) for name in variant_names(args)}
    base = next(iter(found.values()))
    for own in found.values():
        own['share'] = own['peak_mib'] / base['peak_mib']
        own['times_as_fast'] = own['clips_per_second'] / base['clips_per_second']
    columns = dict(batch='batch', weight_mib='weights, MiB', peak_mib='peak beyond, MiB', share='share',
                   clips_per_second='clips/s', times_as_fast='times')
    if args.command == 'gpu':
        add_share_of_peak(args, found)
        columns['share_of_peak'] = 'of peak FLOP/s'
    print_table(f'Training step, {setting(args)}', ('', *columns.values()), [
        (name, *(f'{own[column]:.4g}' for column in columns)) for name, own in found.items()])
    save(args, f'{args.command} {setting(args)}', dict(ways=found, errors=errors))


def add_share_of_peak(args: argparse.Namespace, found: dict[str, dict]) -> None:
    """Adds the operations a clip and the share of the GPU's peak that a variant reaches."""
    flops = {full: clip_flops(args, full) for full in {name.startswith('full') for name in found}}
    for name, own in found.items():
        own['flops_a_clip'] = flops[name.startswith('full')]
        own['share_of_peak'] = own['clips_per_second'] * own['flops_a_clip'] / (1e12 * args.peak_tflops)


# ---- one variant ----

@contextmanager
def open_step(name: str, args: argparse.Namespace, batch: int) -> Iterator[SimpleNamespace]:
    """A variant's isolated step, on weights and a batch that are the same for all of them.

    Args:
        name: One of :func:`~benchmarks.variants.variant_names`.
        args: What describes the step.
        batch: Videos.
    """
    with tempfile.TemporaryDirectory() as folder:
        write_job(Path(folder), argparse.Namespace(**{**vars(args), 'batch': batch}))
        make = (ReleasedStep, args.official, Path(folder)) if name == RELEASED else \
            (step_of_variant, Path(folder), name, size_of(args))
        with isolated(*make) as step:
            yield step


def measure(name: str, args: argparse.Namespace, batch: int | None = None) -> dict:
    """Time and memory of a variant that has the machine for itself; with half the batch where memory runs out."""
    batch = batch or args.batch
    try:
        with open_step(name, args, batch) as step:
            warm, _, *costs = [step.call('measure') for _ in range(2 + args.rounds)]  # some compile in both
            weight_bytes = step.call('weight_bytes')
    except torch.OutOfMemoryError:
        if batch == 1:
            raise
        return measure(name, args, batch // 2)
    seconds = [cost.seconds for cost in costs]
    return dict(batch=batch, seconds=spread(seconds), first_seconds=warm.seconds,
                clips_per_second=batch / median(seconds), weight_mib=weight_bytes / 2**20,
                peak_mib=max(cost.peak_bytes for cost in costs) / 2**20)


def clip_flops(args: argparse.Namespace, full: bool) -> int:
    """Operations that PyTorch counts in a step on one clip and its caption.

    Attention is in plain products there and nothing is computed twice: what a fused kernel or a recomputation adds is
    no need of the step. A frozen weight has no gradient, nor has what comes before the first adapter.
    """
    with open_step('full-bf16' if full else 'bf16', args, 1) as step:
        return step.call('flops')


# ---- agreement ----

def check(args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """The errors of :func:`compare`, of variants that have the machine for themselves, one after the other."""
    firsts = {}
    for name in variant_names(args):
        with open_step(name, args, min(args.batch, CHECKED)) as step:
            firsts[name] = step.call('first')
    return compare(firsts)


def compare(firsts: Mapping[str, tuple[float, dict]]) -> dict[str, dict[str, float]]:
    """Relative errors of each variant's loss and whole gradient, against the first of those that train adapters.

    Args:
        firsts: What each variant's :meth:`Step.first` gave.

    Raises:
        DataError: A variant is further off than its tolerance.
    """
    reference, errors = None, {}
    for name, (loss, gradients) in firsts.items():
        tolerance = EXACT if name == RELEASED else VARIANTS[name].tolerance
        if tolerance is None:
            continue
        found = dict(loss=np.array(loss), gradient=np.concatenate([gradients[key].ravel()
                                                                    for key in sorted(gradients)]))
        reference = reference or found
        errors[name] = {part: agree(found[part], reference[part], tolerance=limit, what=f'{name}: {part}')
                        for part, limit in zip(found, tolerance)}
        print(f'{name}: loss {loss:.6f}, off by {errors[name]["loss"]:.1g}; gradient by {errors[name]["gradient"]:.1g}')
    return errors
