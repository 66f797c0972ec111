"""One training step: time.

    python tools/analysis_tools/benchmark.py train --backbone vit-b32 --official Cross-Modal-Adapter

A step is forward, backward and optimizer, on random weights and data. Loss and gradients of the adapters must agree
with the first way's, which is the released code in float32 where there is one. Each way has a process of its own, all
of them at once, so that memory for the largest step beside the weights of all is needed.
"""
import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from benchmarks.paired import add_common_arguments, print_times, race, save, summarise
from benchmarks.ways import add_step_arguments, setting, way_names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of this sub-command."""
    add_step_arguments(parser, default=('float32', 'bf16', 'bf16-compiled', 'full-float32'))
    add_common_arguments(parser, rounds=5)


def run(args: argparse.Namespace) -> None:
    """Checks, times, prints and saves."""
    from benchmarks.steps import compare, open_step, write_job
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        write_job(Path(folder), args)
        steps = {name: stack.enter_context(open_step(name, Path(folder), args)) for name in way_names(args)}
        errors = compare({name: step.call('first') for name, step in steps.items()})
        seconds = race({name: lambda step=step: step.call('seconds') for name, step in steps.items()},
                       rounds=args.rounds)
    base = next(iter(seconds))
    found = summarise(seconds, base)
    print_times(found, base=base, title=f'Training step, {setting(args)}')
    saved = {precision: median(ours / full for ours, full in zip(seconds[precision], seconds[f'full-{precision}']))
             for precision in ('float32', 'bf16') if {precision, f'full-{precision}'} <= seconds.keys()}
    for precision, share in saved.items():
        print(f'{precision}: {100 * share:.0f} % of the time of full fine-tuning')
    save(args, f'train {setting(args)}', dict(ways=found, errors=errors, share_of_full_fine_tuning=saved))
