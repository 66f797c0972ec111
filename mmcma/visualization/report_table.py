"""The end of a run as tables for a terminal."""
from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.table import Table

METRICS = ('R@1', 'R@5', 'R@10', 'MdR', 'MnR')


def caption_kinds(metrics: Mapping[str, float]) -> list[str]:
    """Kinds of captions that the metrics tell apart, in their order."""
    parts = (key.split('/') for key in metrics)
    return list(dict.fromkeys(part[1] for part in parts if len(part) == 3 and part[0] == 't2v'))


def result_table(results: Mapping[str, Mapping[str, float]], title: str) -> Table:
    """One row for each result and direction.

    Args:
        results: Result name -> metrics under flat keys (``t2v/R@1``).
        title: Above the table.
    """
    table = Table(title=title, box=SIMPLE_HEAD, title_style='bold')
    for name in ('', 'direction', *METRICS):
        table.add_column(name, justify='right' if name in METRICS else 'left', no_wrap=True)
    for direction in ('t2v', 'v2t'):
        for name, metrics in results.items():
            numbers = [f'{metrics[f"{direction}/{key}"]:.1f}' for key in METRICS]
            table.add_row(name, direction.upper(), *numbers, end_section=name == list(results)[-1])
    return table


def kind_table(results: Mapping[str, Mapping[str, float]]) -> Table:
    """T2V R@1 by kind of caption, one row for each kind."""
    table = Table(title='T2V R@1 by kind of caption', box=SIMPLE_HEAD, title_style='bold')
    table.add_column('kind')
    for name in results:
        table.add_column(name, justify='right')
    for kind in caption_kinds(next(iter(results.values()))):
        table.add_row(kind, *(f'{metrics[f"t2v/{kind}/R@1"]:.1f}' for metrics in results.values()))
    return table
