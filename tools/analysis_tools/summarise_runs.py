"""Mean and spread over runs that differ in their seed, from their report.json files.

    python tools/analysis_tools/summarise_runs.py work_dirs/seed-*/ --out docs/results/glyphmotion.json

Runs of one config make one row; the spread is the standard deviation between runs (n - 1). Zero-shot has no seed, so
its row is there once. With --out the figures of every single run are kept as JSON.
"""
import argparse
import json
from pathlib import Path
from statistics import mean, stdev

COLUMNS = tuple(f'{direction}/{key}' for direction in ('t2v', 'v2t') for key in ('R@1', 'R@5', 'R@10', 'MdR', 'MnR'))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('runs', nargs='+', type=Path, help='work directories with a report.json')
    parser.add_argument('--out', type=Path, help='write the figures of every run there')
    args = parser.parse_args()
    reports = [json.loads((run / 'report.json').read_text()) for run in args.runs]
    print(table(reports))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps([short(report) for report in reports], indent=1) + '\n')


def short(report: dict) -> dict:
    """What is worth keeping of a report: configuration, cost and figures."""
    kept = ('config', 'seed', 'dataset', 'split', 'num_items', 'num_captions', 'gallery', 'protocols', 'parameters',
            'backbone', 'device', 'versions', 'seconds')
    results = {name: {key: value if key == 'gallery' else round(value, 4) for key, value in figures.items()}
               for name, figures in report['results'].items()}
    return {**{key: report[key] for key in kept}, 'results': results}


def table(reports: list[dict]) -> str:
    """Markdown table of ``mean ± standard deviation``."""
    rows: dict[str, list[dict]] = {}
    for report in reports:
        gallery = '{dataset} {split}, {present:,} of {expected:,}'.format(**report, **report['gallery'])
        if 'zero-shot' in report['results']:
            rows[f'zero-shot ({gallery})'] = [report['results']['zero-shot']]
        rows.setdefault(f'{report["config"]} ({gallery})', []).append(report['results']['adapted'])
    known = next(iter(rows.values()))[0]
    columns = [*COLUMNS, *(key for key in sorted(known) if key.count('/') == 2 and key.endswith('/R@1'))]
    lines = ['| | runs | ' + ' | '.join(columns) + ' |', '|---' * (len(columns) + 2) + '|']
    for name, figures in rows.items():
        cells = [cell([run[column] for run in figures]) for column in columns]
        lines.append(f'| {name} | {len(figures)} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


def cell(values: list[float]) -> str:
    """``mean ± standard deviation``, or the value where there is one."""
    return f'{mean(values):.1f} ± {stdev(values):.1f}' if len(values) > 1 else f'{values[0]:.1f}'


if __name__ == '__main__':
    main()
