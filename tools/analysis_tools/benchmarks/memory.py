"""One training step: peak memory beyond weights and batch.

    python tools/analysis_tools/benchmark.py memory --backbone vit-b16 --official Cross-Modal-Adapter

Activations, gradients and the optimizer's state count, weights and batch do not. On a CPU it is the highest memory of
the process in the third step, less what it took before the first one; on a GPU the same of PyTorch's allocator. Each
way runs in a fresh process, one after the other. Loss and gradients must agree as in `train`.
"""
import argparse
import tempfile
from pathlib import Path

from benchmarks.paired import add_common_arguments, print_table, save
from benchmarks.ways import add_step_arguments, setting, way_names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of this sub-command."""
    add_step_arguments(parser, default=('float32', 'bf16', 'bf16-compiled', 'bf16-checkpointed', 'bf16-micro',
                                        'full-float32', 'full-bf16'))
    add_common_arguments(parser, rounds=1)


def run(args: argparse.Namespace) -> None:
    """Measures, checks, prints and saves."""
    from benchmarks.steps import compare, open_step, write_job
    firsts, found = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        write_job(Path(folder), args)
        for name in way_names(args):
            with open_step(name, Path(folder), args) as step:
                firsts[name] = step.call('first')
                step.call('seconds')  # compiled ways compile once more
                found[name] = dict(weight_bytes=step.call('weights'),
                                   peak_bytes=max(step.call('peak') for _ in range(args.rounds)))
    errors = compare(firsts)
    base = next(iter(found))
    for figures in found.values():
        figures['share'] = figures['peak_bytes'] / found[base]['peak_bytes']
    print_table(f'Training step, {setting(args)}',
                ('', 'weights, MiB', 'peak beyond them, MiB', f'share of {base}'),
                [(name, figures['weight_bytes'] >> 20, figures['peak_bytes'] >> 20, f'{figures["share"]:.2f}')
                 for name, figures in found.items()])
    save(args, f'memory {setting(args)}', dict(ways=found, errors=errors))
