"""Shows runs on the same test side by side, with a paired test against the first.

    python tools/analysis_tools/compare_runs.py work_dirs/zeroshot work_dirs/cma work_dirs/lora
    python tools/analysis_tools/compare_runs.py RUN... --direction v2t

A run is its work directory, or the report.json in it. Of every query both ranks are known, so the test is McNemar's,
exact: among the queries that only one of two runs answers at rank 1, how likely is it that they divide so unevenly or
more if each falls to either side alike. It takes queries for independent; captions of one video are not quite.
"""
import argparse
import json
from pathlib import Path

from mmcma.cli.arguments import run_tool
from mmcma.utils.errors import ConfigError, cause

SHOWN = ('R@1', 'R@5', 'R@10', 'MdR', 'MnR')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('runs', nargs='+', type=Path, metavar='RUN', help='work directories, or their report.json')
    parser.add_argument('--direction', choices=['t2v', 'v2t'], default='t2v', help='default: t2v')
    args = parser.parse_args()
    reports = {run: read(run) for run in args.runs}
    first = next(iter(reports))
    print('| run | trained | ' + ' | '.join(SHOWN) + ' | right, the first wrong | wrong, the first right | p |')
    print('|---' * (len(SHOWN) + 5) + '|')
    for run, (report, measured) in reports.items():
        check_same_test(reports[first], (report, measured), run, first)
        cells = [str(run), f"{report['parameters']['trainable']:,}",
                 *(f"{measured.metrics[f'{args.direction}/{key}']:.1f}" for key in SHOWN)]
        hits = [[rank <= 1 for rank in of.ranks[args.direction]] for of in (reports[first][1], measured)]
        won, lost = (sum(ours and not theirs for theirs, ours in zip(*order)) for order in (hits, hits[::-1]))
        cells += ['', '', ''] if run == first else [f'{won:,}', f'{lost:,}', f'{mcnemar(won, lost):.2g}']
        print(f'| {" | ".join(cells)} |')


def read(run: Path):
    """A run's report, and its last test with all ranks.

    Raises:
        ConfigError: There is none.
    """
    from mmcma.engine.measured import Measured
    path = run if run.suffix == '.json' else run / 'report.json'
    try:
        report = json.loads(path.read_text())
        return report, Measured.read(path.with_name(f"{list(report['results'])[-1].replace('-', '_')}.json"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f'{path}: no report of a run with its ranks beside it ({cause(error)})') from error


def check_same_test(first: tuple, other: tuple, run: Path, reference: Path) -> None:
    """Refuses runs that were not tested alike, with a ConfigError."""
    sets = [(report.get('dataset'), report.get('split')) for report, _ in (first, other)]
    if sets[0] != sets[1] or not first[1].same_test_as(other[1]):
        raise ConfigError(f'{run} was tested on {" ".join(map(str, sets[1]))}, {other[1].metrics["gallery"]} items, '
                          f'{other[1].protocols}; {reference} on {" ".join(map(str, sets[0]))}, '
                          f'{first[1].metrics["gallery"]} items, {first[1].protocols}: their queries do not pair')


def mcnemar(won: int, lost: int) -> float:
    """Exact two-sided p of McNemar's test (Psychometrika 1947): twice the binomial tail at one half, at most 1."""
    import math

    import torch
    count = won + lost
    few = torch.arange(min(won, lost) + 1, dtype=torch.float64)
    logs = math.lgamma(count + 1) - torch.lgamma(few + 1) - torch.lgamma(count - few + 1) - count * math.log(2)
    return min(1.0, 2 * float(logs.exp().sum()))


if __name__ == '__main__':
    run_tool(main)
