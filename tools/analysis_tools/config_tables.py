"""Writes what the studies measured into the configs' metafiles, their READMEs and the project's.

    python tools/analysis_tools/config_tables.py

`Results` of configs/*/metafile.yml and the last columns of the tables come from the files below docs/results; the rest
is written by hand. A test holds the files to what this writes: run it after a study, or when a config is added.
"""
import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

import yaml
from study import RECALLS, ROOT, read_study, spread

from mmcma.cli.arguments import run_tool
from mmcma.utils.errors import DataError, cause
from mmcma.utils.files import write_atomic

#: Studies of configs as they are but for the learning rate; others vary them.
STUDIES = ('glyphmotion', 'flickr8k')
IMAGES = ('Flickr8k',)
METAFILE_HEAD = '# `Results` are means over seeds, written by tools/analysis_tools/config_tables.py.\n'
#: Name of a config -> its finished runs.
Runs = dict[str, list[dict]]


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    for path, text in generated().items():
        if text != path.read_text(encoding='utf-8'):
            write_atomic(text.encode(), path)
            print(path.relative_to(ROOT))


def generated() -> dict[Path, str]:
    """Every file that has figures of the studies, as it should be."""
    runs = read_runs()
    tables = {path: with_recalls(path.read_text(encoding='utf-8'), runs)
              for path in sorted(ROOT.glob('configs/*/README.md'))}
    metafiles = {path: with_results(path.read_text(encoding='utf-8'), runs)
                 for path in sorted(ROOT.glob('configs/*/metafile.yml'))}
    readmes = {path: with_ranges(path.read_text(encoding='utf-8'), tables) for path in sorted(ROOT.glob('README*.md'))}
    return {**tables, **metafiles, **readmes}


def read_runs() -> Runs:
    """The runs of every config that a study has without changes of its own.

    Raises:
        DataError: A file of a run is damaged.
    """
    runs: Runs = {}
    for name in STUDIES:
        study = read_study(Path(__file__).parent / 'studies' / f'{name}.yml')
        for entry in study.entries.values():
            try:
                found = study.results('run', entry.name)
                _ = [run['results'][key] for run in found for key in RECALLS]
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f'docs/results/{name}/runs: a file of {entry.name!r} is damaged ({cause(error)}). '
                                'Delete it and run the study again.') from error
            if found and not entry.options:
                runs[Path(entry.config).stem] = found
    return runs


def with_results(metafile: str, runs: Runs) -> str:
    """A metafile whose models have the ``Results`` that were measured, and no others."""
    content = yaml.safe_load(metafile)
    for model in content['Models']:
        model.pop('Results', None)
        if found := runs.get(model['Name']):
            model['Results'] = [dict(
                Task=f'Text-{"image" if found[0]["dataset"] in IMAGES else "video"} retrieval',
                Dataset=f'{found[0]["dataset"]} {found[0]["split"]}',
                Metrics={key.replace('t2v/', 'T2V ').replace('v2t/', 'V2T '):
                         round(mean(run['results'][key] for run in found), 1) for key in RECALLS})]
    return METAFILE_HEAD + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)


def with_recalls(readme: str, runs: Runs) -> str:
    """A family's README, with the cell ``T2V R@1`` of each config's row, where its table has that column last."""
    header = re.search(r'^\|.* \| T2V R@1 \|$', readme, re.M)
    if header is None:
        return readme
    columns = header[0].count('|') - 1

    def row(match: re.Match) -> str:
        cells = match[0].strip('| ').split(' | ')[:columns - 1]
        if match[1] in runs:
            recall = spread([run['results']['t2v/R@1'] for run in runs[match[1]]])
        else:
            recall = '–' if '_tiny_' in match[1] else f"needs {re.split(r' (?:ViT-)?B/', cells[1])[0]}'s weights"
        return f'| {" | ".join([*cells, recall])} |'
    return re.sub(r'^\| \[(\w[\w-]*)\.py\]\(\1\.py\) .*$', row, readme, flags=re.M)


def with_ranges(readme: str, tables: dict[Path, str]) -> str:
    """The project's README, with the last two cells of each family's row: trained parameters, and T2V R@1."""
    def row(match: re.Match) -> str:
        own = list(rows(tables[ROOT / match[1]]))
        trained = [int(cells[-2].replace(',', '')) for name, cells in own if name.endswith('vit-b32_msrvtt')]
        recalls = [float(cells[-1].split(' ')[0]) for name, cells in own
                   if '_tiny_glyphmotion' in name and cells[-1] != '–']
        return ' | '.join([*match[0].split(' | ')[:-2], _range(trained, ','), f'{_range(recalls, ".1f")} |'])
    return re.sub(r'^\| \[.*\]\((configs/\w+/README\.md)\) \| .*$', row, readme, flags=re.M)


def rows(readme: str) -> Iterator[tuple[str, list[str]]]:
    """Name and cells of each config's row of a table."""
    for line in readme.splitlines():
        if match := re.match(r'\| \[(\w[\w-]*)\.py\]', line):
            yield match[1], line.strip('| ').split(' | ')


def _range(values: list, form: str) -> str:
    """Least and greatest, or the one that there is."""
    return ' – '.join(f'{value:{form}}' for value in sorted({min(values), max(values)})) if values else '–'


if __name__ == '__main__':
    run_tool(main)
