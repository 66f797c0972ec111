"""The end of a run as tables for a terminal."""
from collections.abc import Iterator, Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

METRICS = ('R@1', 'R@5', 'R@10', 'MdR', 'MnR')


def result_rows(results: Mapping[str, Mapping], direction: str,
                folds: Mapping[str, int]) -> Iterator[tuple[str, list[str]]]:
    """Label and figures of each result, then of its mean over folds.

    Args:
        results: Result name -> metrics under flat keys (``t2v/R@1``, and ``t2v/1k/R@1`` for folds called ``1k``).
        direction: ``'t2v'`` or ``'v2t'``.
        folds: Name -> number of folds.
    """
    parts = {direction: '', **{f'{direction}/{name}': f', {name} (mean of {number})' for name, number in folds.items()}}
    for part, suffix in parts.items():
        for name, metrics in results.items():
            yield name + suffix, [f'{metrics[f"{part}/{key}"]:.1f}' for key in METRICS]


def result_table(results: Mapping[str, Mapping], title: str, folds: Mapping[str, int]) -> Group:
    """The rows of :func:`result_rows`, T2V above V2T. In a narrow terminal it is the results' names that wrap."""
    table = Table(box=SIMPLE_HEAD)
    for name in ('', 'direction', *METRICS):
        table.add_column(name, justify='right' if name in METRICS else 'left', no_wrap=bool(name),
                         overflow='fold')
    for direction in ('t2v', 'v2t'):
        for label, figures in result_rows(results, direction, folds):
            table.add_row(label, direction.upper(), *figures)
        table.add_section()
    return _titled(title, table)


def kind_rows(results: Mapping[str, Mapping], kinds: Sequence[str]) -> list[list[str]]:
    """Each kind of caption with every result's T2V R@1."""
    return [[kind, *(f'{metrics[f"t2v/{kind}/R@1"]:.1f}' for metrics in results.values())] for kind in kinds]


def kind_table(results: Mapping[str, Mapping], kinds: Sequence[str]) -> Group:
    """T2V R@1 by kind of caption, one row for each kind."""
    table = Table(box=SIMPLE_HEAD)
    table.add_column('kind')
    for name in results:
        table.add_column(name, justify='right')
    for row in kind_rows(results, kinds):
        table.add_row(*row)
    return _titled('T2V R@1 by kind of caption', table)


def _titled(title: str, table: Table) -> Group:
    """A line above the table; its own title would wrap at the table's width."""
    return Group(Text(title, style='bold'), table)
