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

    python tools/analysis_tools/compare_methods.py tune configs/my/config.py

does with any config what `tune` does for a study: its learning rate and those beside it, on a part of the training set
and tested on another part of it, into work_dirs/<config>/tune/.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import NamedTuple

from study import RECALLS, ROOT, Entry, Study, read_study

from mmcma.cli.arguments import run_tool
from mmcma.utils.errors import ConfigError, UserError

STUDIES = Path(__file__).parent / 'studies'
COST_STEPS = 5  # that are timed
#: What is kept of a report; the rest are paths and texts.
KEPT = ('config', 'seed', 'dataset', 'split', 'num_items', 'num_captions', 'gallery', 'protocols', 'parameters',
        'backbone', 'device', 'versions', 'seconds', 'caption_kinds')
TUNING_SEED = 100
METRICS = tuple(key for key in RECALLS if '/R@' in key)


def main() -> None:
    args = parse_args()
    from mmcma.config import own_config
    if args.command == 'tune' and (Path(args.study).is_file() or own_config(args.study)):
        tune_config(args)
        return
    refuse(args, 'a study', work_dir=args.work_dir, metric=args.metric)
    study = read_study(STUDIES / f'{args.study}.yml')
    if args.command == 'draw':
        from study_page import write_page
        print(write_page(study))
        return
    names = [name for name in study.entries if not args.only or name in args.only]
    jobs = [Job(study, args.command, name, value) for name in names for value in study.values(args.command, name)]
    if args.command != 'tune':  # a study that is stopped has all methods, if fewer runs; costs meet the same machine
        jobs.sort(key=lambda job: job.value)
    do(jobs, dict(pair.split('=', 1) for pair in args.cfg_options), args.jobs)


def tune_config(args: argparse.Namespace) -> None:
    """Tries the learning rates of a config, and one more beyond the best where that stands at the edge."""
    from tune_config import beyond, own_study, tell
    refuse(args, 'a config', only=args.only)
    study: Study | None = own_study(args.study, args.cfg_options, args.metric or METRICS[0], args.work_dir)
    while study:
        last, (name, entry) = study, next(iter(study.entries.items()))
        do([Job(study, 'tune', name, rate) for rate in entry.rates], {}, args.jobs)
        study = beyond(study)
    tell(last)


def refuse(args: argparse.Namespace, kind: str, **given: object) -> None:
    """Refuses options that mean nothing for what was named.

    Raises:
        ConfigError: One was given.
    """
    for name, value in given.items():
        if value is not None:
            raise ConfigError(f"--{name.replace('_', '-')} {value}: {args.study} is {kind}, which has none.")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('command', choices=['tune', 'run', 'cost', 'draw'])
    parser.add_argument('study', help='name of a file in tools/analysis_tools/studies/; with tune, a config does too')
    parser.add_argument('--only', nargs='+', metavar='ENTRY', help='these entries alone')
    parser.add_argument('--jobs', type=int, default=1,
                        help='runs at once, which share the cores (default: 1); keep 1 for cost')
    parser.add_argument('--cfg-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE',
                        help='for every run, such as data_root=DIR; not part of what is kept')
    parser.add_argument('--metric', choices=METRICS,
                        help=f'what the rate of a config is chosen by (default: {METRICS[0]})')
    parser.add_argument('--work-dir', help='where to try the rates of a config (default: work_dirs/<config>/tune)')
    return parser.parse_args()


class Job(NamedTuple):
    """A run of an entry whose figures become a file; ``value`` tells it from the entry's other runs of its kind."""
    study: Study
    kind: str
    entry: str
    value: float

    def __str__(self) -> str:
        return f'{self.entry} {dict(tune="lr", run="seed", cost="round")[self.kind]} {self.value}'

    @property
    def file(self) -> Path:
        return self.study.file(self.kind, self.entry, self.value)

    def work(self, own: dict[str, str], threads: int) -> dict:
        """Does it, with the options of the command line."""
        study, entry = self.study, self.study.entries[self.entry]
        tuning = self.kind == 'tune'
        changes = {**study.options, **(study.tune['options'] if tuning else {}), **entry.options, **own}
        if self.kind == 'cost':
            return step_cost(entry.config_file, [f'{key}={value}' for key, value in changes.items()], threads)
        seed, rate = (TUNING_SEED, self.value) if tuning else (self.value, study.rate(self.entry))
        return train(study, entry, seed, rate, changes, threads)


def do(jobs: list[Job], own: dict[str, str], at_once: int) -> None:
    """Does the jobs that have no file yet, and writes their files.

    Args:
        jobs: In this order.
        own: Options of the command line.
        at_once: Jobs that run at the same time.

    Raises:
        ConfigError: Some failed, after all of them.
    """
    from mmcma.utils.files import write_atomic
    jobs = [job for job in jobs if not job.file.is_file()]
    threads = max(1, (os.cpu_count() or 1) // at_once)

    def one(number: int, job: Job) -> str | None:
        began = time.perf_counter()
        try:
            result = job.work(own, threads)
        except UserError as error:
            print(f'[{number}/{len(jobs)}] {job}: FAILED: {error}', flush=True)
            return str(job)
        write_atomic((json.dumps(result, indent=1) + '\n').encode(), job.file)
        shown = result.get('results', {}).get(job.study.metric, '')
        print(f'[{number}/{len(jobs)}] {job}: {shown} ({time.perf_counter() - began:.0f} s)', flush=True)
        return None

    with ThreadPoolExecutor(at_once) as pool:
        failed = [name for name in pool.map(one, range(1, len(jobs) + 1), jobs) if name]
    if failed:
        raise ConfigError(f'{len(failed)} failed: {", ".join(failed)}; what they said stands above. '
                          'The others are kept; run the command again for the rest.')


def step_cost(config: Path, changes: list[str], threads: int) -> dict:
    """Time and peak memory beyond the weights of a config's training step; the first step counts for memory alone."""
    from benchmarks.core import isolated
    from benchmarks.steps import step_of_config
    with isolated(step_of_config, config, changes, threads) as step:
        costs = [step.call('measure') for _ in range(1 + COST_STEPS)]
        trainable = step.call('trainable')
    seconds = [cost.seconds for cost in costs[1:]]
    return dict(seconds=round(median(seconds), 4), fastest=round(min(seconds), 4),
                peak_mib=round(max(cost.peak_bytes for cost in costs) / 2**20, 1), trainable=trainable)


def train(study: Study, entry: Entry, seed: int, rate: float | None, changes: dict, threads: int) -> dict:
    """Trains (or only tests) in a throw-away work directory; what is worth keeping of its report."""
    from mmcma.config import load_config
    from mmcma.visualization.plots import rank_edges, rank_shares
    if rate is not None:
        changes = {**changes, 'optim_wrapper.optimizer.lr': rate}
    hooks = [hook['type'] for hook in load_config(entry.config_file).custom_hooks]
    hook = f'custom_hooks.{hooks.index("RetrievalReportHook")}'
    with tempfile.TemporaryDirectory() as folder:
        tool = 'tools/train.py' if entry.train else 'tools/test.py'
        changes = {**changes, f'{hook}.zero_shot': False, f'{hook}.out_dir': folder}
        call([tool, str(entry.config_file), '--seed', str(seed), '--work-dir', f'{folder}/work',
              '--cfg-options', *(f'{key}={value}' for key, value in changes.items())], threads)
        report = json.loads(Path(folder, 'report.json').read_text())
        (name, results), = report['results'].items()
        ranks = json.loads(Path(folder, f'{name.replace("-", "_")}.json').read_text())['ranks']
    edges = rank_edges(report['num_items'])
    return {**{key: report[key] for key in KEPT}, 'entry': entry.name, 'rate': rate, 'threads': threads,
            'results': {key: round(value, 4) if isinstance(value, float) else value for key, value in results.items()},
            't2v_rank_edges': edges, 't2v_rank_shares': [round(x, 3) for x in rank_shares(ranks['t2v'], edges)]}


def call(command: list[str], threads: int) -> None:
    """Runs one of our tools.

    Raises:
        ConfigError: It failed; the message has its last lines.
    """
    environment = {**os.environ, 'OMP_NUM_THREADS': str(threads),
                   'PYTHONPATH': os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])}
    tool = str(ROOT / command[0])
    done = subprocess.run([sys.executable, tool, *command[1:]], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise ConfigError(' / '.join(done.stderr.strip().splitlines()[-3:]) or f'exit code {done.returncode}')


if __name__ == '__main__':
    run_tool(main)
