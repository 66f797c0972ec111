"""The paper's tables beside what was measured here.

    python tools/analysis_tools/paper_tables.py                     # prints all tables as Markdown
    python tools/analysis_tools/paper_tables.py --configs text-video   # the configs of one table, a line each

The measured figures are read from work_dirs/<config>/report.json, which tools/train.py writes; a row that has not been
run stays empty. The paper's figures are those of tools/analysis_tools/paper.yml. See tools/reproduce_paper.sh.
"""
import argparse
import json
from pathlib import Path

from mmcma.cli.arguments import run_tool
from mmcma.utils.errors import ConfigError, cause, did_you_mean

PAPER = Path(__file__).with_name('paper.yml')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--configs', metavar='TABLE', help='print the configs of a table, or of all')
    parser.add_argument('--work-dirs', type=Path, help='where the runs are (default: work_dirs)')
    args = parser.parse_args()
    if args.work_dirs is not None and not args.work_dirs.is_dir():
        raise ConfigError(f'--work-dirs {args.work_dirs} is no folder')
    import mmengine
    tables = mmengine.load(PAPER)
    if args.configs:
        print('\n'.join(configs(tables, args.configs)))
    else:
        print('\n'.join(markdown(table, args.work_dirs or Path('work_dirs')) for table in tables.values()))


def configs(tables: dict, name: str) -> list[str]:
    """Paths of a table's configs.

    Raises:
        ConfigError: There is no such table.
    """
    if name not in ('all', *tables):
        raise ConfigError(f'--configs {name!r} is none of {["all", *tables]}.{did_you_mean(name, list(tables))}')
    chosen = tables.values() if name == 'all' else [tables[name]]
    return [f'configs/{row["config"]}' for table in chosen for row in table['rows'].values() if 'config' in row]


def markdown(table: dict, work_dirs: Path) -> str:
    """One table: of each row the paper's figures, where they are known, and below them ours."""
    columns = table['columns']
    heading = [f'{direction.upper()} {key}' for direction, key in (column.split('/') for column in columns)]
    rows = [['', 'trained', *heading], ['---'] * (len(columns) + 2)]
    for name, row in table['rows'].items():
        if 'paper' in row:
            rows.append([f'{name}, **paper**', f'{row["trained"]} M', *map(str, row['paper'])])
        if 'config' in row:
            report = work_dirs / Path(row['config']).stem / 'report.json'
            rows.append(measured(name, report, columns) if report.is_file() else
                        [f'{name}, measured', *[''] * (len(columns) + 1)])
    lines = ['| ' + ' | '.join(cells) + ' |' for cells in rows]
    return f'## {table["title"]}\n\n' + '\n'.join(lines) + '\n'


def measured(name: str, path: Path, columns: list[str]) -> list[str]:
    """Cells of a run, from its report.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        report = json.loads(path.read_text())
        present, expected = report['gallery']['present'], report['gallery']['expected']
        results = list(report['results'].values())[-1]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ConfigError(f'{path}: no report of a run ({cause(error)})') from error
    shrunken = '' if present == expected else f' (gallery {present:,} of {expected:,})'
    return [f'{name}, measured{shrunken}', f'{report["parameters"]["trainable"] / 1e6:.3g} M',
            *(f'{results[column]:.1f}' for column in columns)]


if __name__ == '__main__':
    run_tool(main)
