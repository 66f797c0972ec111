"""Time and memory of one training step, on random weights and data.

A step is forward, backward and optimizer. Loss and gradients of the adapters must agree with the first variant's, which
is the released code in float32 where there is one. Memory counts activations, gradients and the optimizer's state, and
not weights and batch.
"""
import argparse
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.core import IsolatedProcess, agree, print_table, print_times, race, save, summarise
from benchmarks.released_step import ReleasedStep
from benchmarks.steps import step_of_variant, write_job
from benchmarks.variants import EXACT, RELEASED, VARIANTS, setting, size_of, variant_names


def train(args: argparse.Namespace) -> None:
    """Seconds of each variant, in turns; all of their processes are there at once."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        write_job(Path(folder), args)
        steps = {name: stack.enter_context(open_step(name, Path(folder), args)) for name in variant_names(args)}
        errors = compare({name: step.call('first') for name, step in steps.items()})
        costs = race({name: lambda step=step: step.call('measure') for name, step in steps.items()},
                     rounds=args.rounds)
    seconds = {name: [cost.seconds for cost in own] for name, own in costs.items()}
    base = next(iter(seconds))
    found = summarise(seconds, base)
    print_times(found, base=base, title=f'Training step, {setting(args)}')
    shares = {precision: median(ours / full for ours, full in zip(seconds[precision], seconds[f'full-{precision}']))
              for precision in ('float32', 'bf16') if {precision, f'full-{precision}'} <= seconds.keys()}
    for precision, share in shares.items():
        print(f'{precision}: {100 * share:.0f} % of the time of full fine-tuning')
    save(args, f'train {setting(args)}', dict(ways=found, errors=errors, share_of_full_fine_tuning=shares))


def memory(args: argparse.Namespace) -> None:
    """Peak memory of each variant's third step, in a fresh process, one after the other."""
    firsts, found = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        write_job(Path(folder), args)
        for name in variant_names(args):
            with open_step(name, Path(folder), args) as step:
                firsts[name] = step.call('first')
                step.call('work')  # compiled variants compile once more
                found[name] = dict(weight_bytes=step.call('weight_bytes'),
                                   peak_bytes=max(step.call('measure').peak_bytes for _ in range(args.rounds)))
    errors = compare(firsts)
    base = next(iter(found))
    for figures in found.values():
        figures['share'] = figures['peak_bytes'] / found[base]['peak_bytes']
    print_table(f'Training step, {setting(args)}', ('', 'weights, MiB', 'peak beyond them, MiB', f'share of {base}'), [
        (name, figures['weight_bytes'] >> 20, figures['peak_bytes'] >> 20, f'{figures["share"]:.2f}')
        for name, figures in found.items()])
    save(args, f'memory {setting(args)}', dict(ways=found, errors=errors))


def open_step(name: str, folder: Path, args: argparse.Namespace) -> IsolatedProcess:
    """The process of a variant of :func:`~benchmarks.variants.variant_names` on a folder of :func:`write_job`."""
    if name == RELEASED:
        return IsolatedProcess(ReleasedStep, args.official, folder)
    return IsolatedProcess(step_of_variant, folder, name, size_of(args))


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
