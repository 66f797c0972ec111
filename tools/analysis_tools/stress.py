"""Runs the project on inputs that are damaged, mutated or hostile, and counts what comes out.

    python tools/analysis_tools/stress.py annotations --trials 3000
    python tools/analysis_tools/stress.py videos --trials 500 --seed 1 --out rows.json

A trial ends right, refused (one line of the project's own error), wrong (a wrong value, silently) or crashed. The
command prints one row, below it what went wrong, and has exit code 1 if anything did. docs/reliability.md has the rows.
"""
import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from importlib import import_module
from pathlib import Path

from campaigns import Outcome, Verdict

from mmcma.cli.arguments import check_at_least, check_can_grow, run_tool

#: Kinds, each a module of campaigns/.
KINDS = sorted(path.stem for path in (Path(__file__).parent / 'campaigns').glob('[a-z]*.py'))


def main() -> None:
    args = parser().parse_args()
    check_at_least(args, trials=1)
    check_can_grow(args.out, '--out')
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        trials = import_module(f'campaigns.{args.kind}').trials
        outcomes = list(trials(args.trials, args.seed, Path(folder)))
    row = summary(args.kind, args.seed, outcomes, time.perf_counter() - start)
    print('  '.join(f'{name} {value}' for name, value in row.items()))
    faults = [outcome for outcome in outcomes if outcome.verdict in (Verdict.WRONG, Verdict.CRASHED)]
    for outcome in faults:
        print(f'{outcome.verdict.value}: {outcome.detail}')
    if args.out:
        rows = json.loads(args.out.read_text()) if args.out.exists() else []
        args.out.write_text(json.dumps([*rows, row], indent=1) + '\n')
    if faults:
        sys.exit(1)


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument('kind', choices=KINDS, metavar='KIND', help=', '.join(KINDS))
    result.add_argument('--trials', type=int, default=100, metavar='N', help='default: 100')
    result.add_argument('--seed', type=int, default=0, metavar='S', help='of the mutations (default: 0)')
    result.add_argument('--out', type=Path, metavar='FILE', help='add the row to this JSON file')
    return result


def summary(kind: str, seed: int, outcomes: list[Outcome], seconds: float) -> dict:
    """Counts of the verdicts, with what they belong to; ``seconds`` is the time of all trials."""
    counts = Counter(outcome.verdict for outcome in outcomes)
    return dict(kind=kind, trials=len(outcomes), seed=seed,
                **{verdict.value: counts[verdict] for verdict in Verdict}, seconds=round(seconds, 1))


if __name__ == '__main__':
    run_tool(main)
