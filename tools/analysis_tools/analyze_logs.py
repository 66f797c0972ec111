"""Draws the curves of several runs.

    python tools/analysis_tools/analyze_logs.py work_dirs/cma_tiny_glyphmotion work_dirs/lora_tiny_glyphmotion
    python tools/analysis_tools/analyze_logs.py RUN... --keys loss lr grad_norm t2v/R@1 --out curves.png

A run is its work directory, of which the newest log counts. The step of a validation is its epoch.
"""
import argparse
import json
from pathlib import Path

from mmcma.cli.arguments import check_can_be_written, run_tool
from mmcma.utils.errors import ConfigError, cause, did_you_mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('runs', nargs='+', type=Path, metavar='RUN', help='work directories')
    parser.add_argument('--keys', nargs='+', default=['loss', 't2v/R@1'], help='what to draw (default: loss t2v/R@1)')
    parser.add_argument('--out', default='curves.png', metavar='FILE', help='default: curves.png')
    args = parser.parse_args()
    check_can_be_written(args.out, '--out')
    logs = {run: scalars(run) for run in args.runs}
    curves = {key: {str(run): curve(rows, key, run) for run, rows in logs.items()} for key in args.keys}
    draw(curves, args.out)
    for key, of_runs in curves.items():
        for run, (_, values) in of_runs.items():
            ends = f'{values[0]:.4g} to {values[-1]:.4g}'
            print(f'{key:<12} {run}: {ends}, least {min(values):.4g}, most {max(values):.4g}')
    print(args.out)


def scalars(run: Path) -> list[dict]:
    """The rows of a run's newest log.

    Raises:
        ConfigError: There is none, or it is damaged.
    """
    logs = sorted(run.glob('*/vis_data/scalars.json'))
    if not logs:
        raise ConfigError(f'{run}: no log of a run (*/vis_data/scalars.json); a run is its work directory')
    rows = []
    for number, line in enumerate(logs[-1].read_text().splitlines(), 1):
        try:
            rows.append(dict(json.loads(line)))
        except (ValueError, TypeError) as error:
            raise ConfigError(f'{logs[-1]}, line {number}: no line of a log ({cause(error)})') from error
    return rows


def curve(rows: list[dict], key: str, run: Path) -> tuple[list[int], list[float]]:
    """Steps and values of one curve.

    Raises:
        ConfigError: The run has none of that name.
    """
    points = [(row['step'], row[key]) for row in rows if key in row]
    if not points:
        known = sorted({name for row in rows for name in row})
        raise ConfigError(f'--keys {key}: {run} has {", ".join(known)}.{did_you_mean(key, known)}')
    steps, values = zip(*points)
    return list(steps), list(values)


def draw(curves: dict, path: str) -> None:
    """Writes a PNG with one panel a key and one line a run."""
    from matplotlib.figure import Figure

    from mmcma.utils.files import write_atomic
    from mmcma.visualization.plots import plain, png
    figure = Figure(figsize=(6, 2.6 * len(curves)), layout='constrained')
    for axes, (key, of_runs) in zip(figure.subplots(len(curves), squeeze=False)[:, 0], curves.items()):
        for run, (steps, values) in of_runs.items():
            axes.plot(steps, values, marker='.' if len(steps) < 40 else '', label=Path(run).name)
        axes.set(title=key, xlabel='step')
        axes.legend(frameon=False, fontsize=8)
        plain(axes)
    write_atomic(png(figure), path)


if __name__ == '__main__':
    run_tool(main)
