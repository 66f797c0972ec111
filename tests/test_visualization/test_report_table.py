"""Tables in terminals of different width."""
from io import StringIO

import pytest
from rich.console import Console

from mmcma.visualization.report_table import METRICS, kind_table, result_table

TITLE = 'Test, gallery: 4,917 of 5,000 items, 25,010 captions, V2T by max_over_captions'
FOLDS = {'1k': 5}
RESULTS = {name: {f'{direction}{part}/{key}': value + place for direction in ('t2v', 'v2t')
                  for part in ('', '/1k', '/order') for place, key in enumerate(METRICS)}
           for name, value in (('zero-shot', 10), ('adapted', 20))}


def printed(table, width: int) -> list[str]:
    console = Console(file=StringIO(), width=width)
    console.print(table)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize('folds', [{}, FOLDS])
def test_80_columns_hold_title_and_rows_on_a_line_each(folds):
    lines = printed(result_table(RESULTS, TITLE, folds), 80)
    assert lines[0] == TITLE
    assert sum('10.0   11.0   12.0   13.0   14.0' in line for line in lines) == 2 + 2 * len(folds)
    assert not any('…' in line for line in lines)


def test_in_few_columns_names_wrap_and_figures_do_not():
    lines = printed(result_table(RESULTS, TITLE, FOLDS), 60)
    assert not any('…' in line for line in lines) and max(map(len, lines)) <= 60
    assert sum('20.0   21.0   22.0   23.0   24.0' in line for line in lines) == 4


def test_kinds():
    lines = printed(kind_table(RESULTS, ['order']), 80)
    assert lines[0] == 'T2V R@1 by kind of caption'
    assert any(line.split() == ['order', '10.0', '20.0'] for line in lines)
