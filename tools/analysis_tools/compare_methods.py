"""Compares methods over seeds, each with a learning rate chosen by the same budget, and draws what came out.

    python tools/analysis_tools/compare_methods.py tune glyphmotion
    python tools/analysis_tools/compare_methods.py run  glyphmotion
    python tools/analysis_tools/compare_methods.py cost glyphmotion
    python tools/analysis_tools/compare_methods.py draw glyphmotion

A study is a YAML file of tools/analysis_tools/studies/. Every run is kept as a small JSON file below
docs/results/<study>/; what is there already is not done again, so that a study can be stopped at any moment and
goes on where it was. `tune` trains each method at several learning rates and looks at the validation split only; `run`
trains with the best rate and tests; `cost` takes time and memory of the training step, method after method, in
rounds; `draw` writes the page docs/results/<study>.md and its plots from the files.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from study import COST_ROUNDS, ROOT, Entry, Study, read_study

from mmcma.cli.arguments import run_tool
from mmcma.utils.errors import ConfigError, UserError

STUDIES = Path(__file__).parent / 'studies'
COST_STEPS = 5  # that are timed
#: Of the rest of a report: paths and texts.
KEPT = ('config', 'seed', 'dataset', 'split', 'num_items', 'num_captions', 'gallery', 'protocols', 'parameters',
        'backbone', 'device', 'versions', 'seconds', 'caption_kinds')


class Job(NamedTuple):
    """A command whose result becomes a file."""
    name: str
    file: Path
    work: Callable[[], dict]


def main() -> None:
    args = parse_args()
    study = read_study(STUDIES / f'{args.study}.yml')
    if args.command == 'draw':
        from study_page import write_page
        print(write_page(study))
        return
    entries = [entry for entry in study.entries.values() if not args.only or entry.name in args.only]
    threads = max(1, (os.cpu_count() or 1) // args.jobs)
    own = dict(pair.split('=', 1) for pair in args.cfg_options)
    jobs = {'tune': tune_jobs, 'run': run_jobs, 'cost': cost_jobs}[args.command](study, entries, own, threads)
    failed = do([job for job in jobs if not job.file.is_file()], args.jobs)
    if failed:
        raise ConfigError(f'{len(failed)} failed: {", ".join(failed)}; what they said stands above. '
                          'The others are kept; run the command again for the rest.')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('command', choices=['tune', 'run', 'cost', 'draw'])
    parser.add_argument('study', help='name of a file in tools/analysis_tools/studies/')
    parser.add_argument('--only', nargs='+', metavar='ENTRY', help='these entries alone')
    parser.add_argument('--jobs', type=int, default=1,
                        help='runs at once, which share the cores (default: 1); keep 1 for cost')
    parser.add_argument('--cfg-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE',
                        help='for every run, such as data_root=DIR; not part of what is kept')
    return parser.parse_args()


def tune_jobs(study: Study, entries: Iterable[Entry], own: dict, threads: int) -> Iterable[Job]:
    for entry in entries:
        for rate in entry.rates:
            changes = {**study.options, **study.tune_options, **entry.options, **own}
            yield Job(f'{entry.name} lr {rate:g}', study.tune_file(entry.name, rate),
                      lambda entry=entry, rate=rate, changes=changes: train(study, entry, 100, rate, changes, threads))


def run_jobs(study: Study, entries: Iterable[Entry], own: dict, threads: int) -> Iterable[Job]:
    for seed in study.seeds:  # seed after seed: a study that is stopped has all methods, if fewer runs
        for entry in entries:
            if not entry.train and seed != study.seeds[0]:
                continue
            changes = {**study.options, **entry.options, **own}
            yield Job(f'{entry.name} seed {seed}', study.run_file(entry.name, seed),
                      lambda entry=entry, seed=seed, changes=changes: train(
                          study, entry, seed, study.rate(entry.name), changes, threads))


def cost_jobs(study: Study, entries: Iterable[Entry], own: dict, threads: int) -> Iterable[Job]:
    """Rounds over the methods, so that what else the machine does hits all of them alike."""
    for number in range(COST_ROUNDS):
        for entry in entries:
            if entry.train:
                changes = pairs({**study.options, **entry.options, **own})
                yield Job(f'{entry.name} round {number + 1}', study.cost_file(entry.name, number),
                          lambda entry=entry, changes=changes: step_cost(entry.config_file, changes, threads))


def step_cost(config: Path, changes: list[str], threads: int) -> dict:
    """Time and peak memory beyond the weights of a config's training step; the first step counts for memory alone."""
    from benchmarks.core import IsolatedProcess
    from benchmarks.steps import step_of_config
    with IsolatedProcess(step_of_config, config, changes, threads) as step:
        costs = [step.call('measure') for _ in range(1 + COST_STEPS)]
        trainable = step.call('trainable')
    seconds = [cost.seconds for cost in costs[1:]]
    return dict(seconds=round(median(seconds), 4), fastest=round(min(seconds), 4),
                peak_mib=round(max(cost.peak_bytes for cost in costs) / 2**20, 1), trainable=trainable)


def train(study: Study, entry: Entry, seed: int, rate: float | None, changes: dict, threads: int) -> dict:
    """Trains (or only tests) in a throw-away work directory; what is worth keeping of its report."""
    if rate is not None:
        changes = {**changes, 'optim_wrapper.optimizer.lr': rate}
    with tempfile.TemporaryDirectory() as folder:
        tool = 'tools/train.py' if entry.train else 'tools/test.py'
        hook = report_hook(entry)
        changes = {**changes, f'{hook}.zero_shot': False, f'{hook}.out_dir': folder}
        call([tool, str(entry.config_file), '--seed', str(seed), '--work-dir', f'{folder}/work',
              '--cfg-options', *pairs(changes)], threads)
        report = json.loads(Path(folder, 'report.json').read_text())
        (name, results), = report['results'].items()
        ranks = json.loads(Path(folder, f'{name.replace("-", "_")}.json').read_text())['ranks']
    from mmcma.visualization.plots import rank_edges, rank_shares
    edges = rank_edges(report['num_items'])
    return {**{key: report[key] for key in KEPT}, 'entry': entry.name, 'rate': rate, 'threads': threads,
            'results': {key: round(value, 4) if isinstance(value, float) else value for key, value in results.items()},
            't2v_rank_edges': edges, 't2v_rank_shares': [round(x, 3) for x in rank_shares(ranks['t2v'], edges)]}


def report_hook(entry: Entry) -> str:
    """Key of the hook that reports, in the entry's config."""
    from mmcma.config import load_config
    types = [hook['type'] for hook in load_config(entry.config_file).custom_hooks]
    return f'custom_hooks.{types.index("RetrievalReportHook")}'


def pairs(changes: dict[str, Any]) -> list[str]:
    return [f'{key}={value}' for key, value in changes.items()]


def call(command: list[str], threads: int) -> str:
    """Runs one of our tools; its standard output.

    Raises:
        ConfigError: It failed; the message has its last lines.
    """
    environment = {**os.environ, 'OMP_NUM_THREADS': str(threads),
                   'PYTHONPATH': os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])}
    done = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise ConfigError(' / '.join(done.stderr.strip().splitlines()[-3:]) or f'exit code {done.returncode}')
    return done.stdout


def do(jobs: list[Job], at_once: int) -> list[str]:
    """Does the jobs and writes their files; the names of those that failed."""
    from mmcma.utils.files import write_atomic

    def one(number: int, job: Job) -> str | None:
        began = time.perf_counter()
        try:
            result = job.work()
        except UserError as error:
            print(f'[{number}/{len(jobs)}] {job.name}: FAILED: {error}', flush=True)
            return job.name
        write_atomic((json.dumps(result, indent=1) + '\n').encode(), job.file)
        shown = result.get('results', {}).get('t2v/R@1', '')
        print(f'[{number}/{len(jobs)}] {job.name}: {shown} ({time.perf_counter() - began:.0f} s)', flush=True)
        return None

    with ThreadPoolExecutor(at_once) as pool:
        outcomes = list(pool.map(one, range(1, len(jobs) + 1), jobs))
    return [name for name in outcomes if name]


if __name__ == '__main__':
    run_tool(main)
