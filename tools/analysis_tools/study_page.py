"""The page of a study: tables and plots of what its files hold."""
from math import sqrt
from pathlib import Path
from statistics import mean, median, stdev

from study import RESULTS, Study, Table
from study_plots import Point, bars_by_kind, rank_shares_by_method, recall_by_parameters

from mmcma.utils.files import write_atomic

RECALLS = tuple(f'{direction}/{key}' for direction in ('t2v', 'v2t') for key in ('R@1', 'R@5', 'R@10', 'MdR', 'MnR'))


def write_page(study: Study) -> Path:
    """Writes ``docs/results/<study>.md`` and the plots beside it."""
    parts = [f'# {study.title}\n', _preamble(study)]
    for name, table in study.tables.items():
        done = [entry for entry in table.entries if study.runs(entry)]
        if done:
            parts.append(_section(study, name, table, done))
    path = RESULTS / f'{study.name}.md'
    write_atomic('\n'.join(parts).encode(), path)
    return path


def _preamble(study: Study) -> str:
    rows = [run for entry in study.entries for run in study.runs(entry)]
    if not rows:
        return 'No run is finished yet.\n'
    run = rows[0]
    trained = [row for row in rows if row['rate'] is not None]
    return '\n'.join([
        'Written by `tools/analysis_tools/compare_methods.py` from the files in '
        f'[{study.name}/]({study.name}/), one for each run; what they say is discussed in '
        '[../results.md](../results.md).\n',
        *(f'    python tools/analysis_tools/compare_methods.py {command} {study.name}'
          for command in ('tune', 'run', 'cost', 'draw')),
        f'\nTested on {run["dataset"]} {run["split"]}: gallery of {run["gallery"]["present"]:,} of '
        f'{run["gallery"]["expected"]:,} items, {run["num_captions"]:,} captions. V2T by `{run["protocols"]["v2t"]}`. '
        f'Seeds {", ".join(map(str, study.seeds))}; {len(trained)} training runs here. `±` is the standard deviation '
        'between runs (n - 1). `Δ` is the difference of the mean T2V R@1 from that of the method named, ± its standard '
        'error. Recalls in percent, MdR and MnR in ranks. Time and memory are those of a training step, memory '
        f'without the weights, as a share of `{study.reference}`, measured in rounds over all methods (median).\n',
        'Every learning rate was chosen by the same budget, and not by what is tested here: one run with seed 100 for '
        f'each of {_counts(study)} rates, with {_options(study.tune_options)}. Options of all runs: '
        f'{_options(study.options)}.\n'])


def _counts(study: Study) -> str:
    return ' or '.join(sorted({str(len(entry.rates)) for entry in study.entries.values() if entry.rates}))


def _options(options: dict) -> str:
    return ', '.join(f'`{key}={value}`' for key, value in options.items())


def _section(study: Study, name: str, table: Table, done: list[str]) -> str:
    parts = [f'## {table.title}\n', _main_table(study, table, done)]
    missing = [entry for entry in table.entries if entry not in done]
    if missing:
        parts.append(f'Not run yet: {", ".join(missing)}.\n')
    kinds = study.runs(done[0])[0]['caption_kinds']
    if kinds:
        parts.append(_kind_table(study, done, kinds))
    for plot, data in _plots(study, table, done, kinds).items():
        file = RESULTS / study.name / f'{name}_{plot}.png'
        write_atomic(data, file)
        parts.append(f'![{table.title}: {plot.replace("-", " ")}]({study.name}/{file.name})\n')
    return '\n'.join(parts)


def _main_table(study: Study, table: Table, done: list[str]) -> str:
    against = table.compared_with
    columns = (f'{direction.upper()} {key}' for direction, key in (name.split('/') for name in RECALLS))
    header = ['', 'trained', 'share', 'lr', 'runs', *columns, f'Δ {against}', 'time', 'memory']
    lines = ['| ' + ' | '.join(header) + ' |', '|---' * len(header) + '|']
    for entry in done:
        runs = study.runs(entry)
        parameters = runs[0]['parameters']
        rate = runs[0]['rate']
        cells = [entry, f'{parameters["trainable"]:,}', f'{parameters["share_percent"]:.2f} %',
                 '' if rate is None else f'{rate:g}', str(len(runs)),
                 *(spread([run['results'][key] for run in runs]) for key in RECALLS),
                 '' if entry == against or not study.runs(against) else _difference(study, entry, against),
                 *_relative_cost(study, entry)]
        lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines) + '\n'


def _kind_table(study: Study, done: list[str], kinds: list[str]) -> str:
    lines = ['| T2V R@1 by kind of caption | ' + ' | '.join(kinds) + ' |', '|---' * (len(kinds) + 1) + '|']
    for entry in done:
        cells = [spread([run['results'][f't2v/{kind}/R@1'] for run in study.runs(entry)]) for kind in kinds]
        lines.append(f'| {entry} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines) + '\n'


def spread(values: list[float]) -> str:
    """``mean ± standard deviation``, or the value where there is one."""
    return f'{mean(values):.1f} ± {stdev(values):.1f}' if len(values) > 1 else f'{values[0]:.1f}'


def _difference(study: Study, entry: str, other: str) -> str:
    """Difference of mean T2V R@1 and its standard error, from the variances of both (Welch)."""
    ours, theirs = ([run['results']['t2v/R@1'] for run in study.runs(name)] for name in (entry, other))
    gap = mean(ours) - mean(theirs)
    if min(len(ours), len(theirs)) < 2:
        return f'{gap:+.1f}'
    return f'{gap:+.1f} ± {sqrt(stdev(ours) ** 2 / len(ours) + stdev(theirs) ** 2 / len(theirs)):.1f}'


def _relative_cost(study: Study, entry: str) -> tuple[str, str]:
    own, reference = study.costs(entry), study.costs(study.reference)
    if not own or not reference:
        return '', ''
    ratios = (median(cost[key] for cost in own) / median(cost[key] for cost in reference)
              for key in ('seconds', 'peak_mib'))
    return tuple(f'{ratio:.2f}' for ratio in ratios)


def _plots(study: Study, table: Table, done: list[str], kinds: list[str] | None) -> dict[str, bytes]:
    points, floor = [], None
    for entry in done:
        runs = study.runs(entry)
        recalls = [run['results']['t2v/R@1'] for run in runs]
        if study.entries[entry].train:
            points.append(Point(entry, runs[0]['parameters']['trainable'], mean(recalls),
                                stdev(recalls) if len(recalls) > 1 else 0.0))
        else:
            floor = mean(recalls)
    title = f'{study.title}: {table.title}'
    plots = {'parameters': recall_by_parameters(points, f'{title}, T2V R@1', table.compared_with, floor)}
    if kinds:
        plots['kinds'] = bars_by_kind(
            {entry: {kind: mean(run['results'][f't2v/{kind}/R@1'] for run in study.runs(entry)) for kind in kinds}
             for entry in done}, f'{title}, T2V R@1 by kind of caption')
    shown = {entry: [mean(column) for column in zip(*(run['t2v_rank_shares'] for run in study.runs(entry)))]
             for entry in _telling(study, table, done)}
    plots['ranks'] = rank_shares_by_method(shown, study.runs(done[0])[0]['t2v_rank_edges'], f'{title}, T2V ranks')
    return plots


def _telling(study: Study, table: Table, done: list[str]) -> list[str]:
    """Up to eight rows, in their order: what is not trained, what is compared with, and the best of the rest."""
    def recall(entry: str) -> float:
        return mean(run['results']['t2v/R@1'] for run in study.runs(entry))

    fixed = [entry for entry in done if entry == table.compared_with or not study.entries[entry].train]
    best = sorted(set(done) - set(fixed), key=recall, reverse=True)[:8 - len(fixed)]
    return [entry for entry in done if entry in fixed or entry in best]
