"""The learning rate of any config, chosen by the budget of the studies, and never by its test set or validation set."""
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure
from study import Entry, Study

from mmcma.utils.errors import ConfigError
from mmcma.utils.files import write_atomic
from mmcma.visualization.plots import COLOURS, INK, plain, png

#: Rates stand half a power of ten beside each other.
HALF_POWERS = (-1, 0, 1)
#: Items of the training set that are held out: a tenth, and at most this many.
MOST_HELD_OUT = 1000
#: Fewer say nothing of a learning rate.
FEWEST_HELD_OUT = 20
#: Of the others a quarter is trained on, at least this many where there are as many.
LEAST_TRAINED = 500


def own_study(config: str, options: list[str], metric: str, work_dir: str | None) -> Study:
    """A study of one config, with its rate and those beside it, on a part of its training set.

    The last tenth of the training items is held out and tested; of the others the first quarter trains. The config
    that does so is written into the work directory, so that what was tried can be looked at and gone on with.

    Args:
        config: The file, or the name of one of the package's own.
        options: Replaced values, ``KEY=VALUE`` each.
        metric: Key that the rate is chosen by, such as ``'t2v/R@1'``; the higher the better.
        work_dir: Where to write (default: ``work_dirs/<name of the config>/tune``).

    Raises:
        ConfigError: The config or an option is faulty, its training set is chosen from already or has too few items,
            or the work directory has rates that were tried with something else.
    """
    from mmcma.config import check_config, load_config, parse_options
    cfg = load_config(config, parse_options(options))
    check_config(cfg)
    name = Path(config).stem
    folder = Path(work_dir or Path('work_dirs') / name / 'tune')
    trained, held_out = parts(cfg, config)
    hold_out(cfg, trained, held_out)
    derived = folder / f'{name}.py'
    text = f'# {config} on {trained:,} of its training items, tested on {held_out:,} others of them.\n{cfg.pretty_text}'
    if derived.is_file() and derived.read_text(encoding='utf-8') != text:
        raise ConfigError(f'{derived} is another config than this one with these options: the rates tried there do '
                          'not belong to it. Remove that folder, or name another with --work-dir.')
    write_atomic(text.encode(), derived)
    rates = [beside(cfg.optim_wrapper.optimizer.lr, step) for step in HALF_POWERS]
    print(f'{config}: {", ".join(f"{of:g}" for of in rates)}, each on {trained:,} of the training items; '
          f'tested on {held_out:,} others of them')
    entry = Entry(name, str(derived.resolve()), rates)
    return Study(name, title=config, metric=metric, seeds=(), options={}, tune={'options': {}}, reference=name,
                 entries={name: entry}, tables={}, sweep=None, folder=folder)


def hold_out(cfg, trained: int, held_out: int) -> None:
    """Changes a config to train on the first ``trained`` training items and test on the last ``held_out`` ones."""
    from mmcma.config import set_report
    cfg.train_dataloader.dataset.indices = trained
    cfg.test_dataloader.dataset = {**cfg.train_dataloader.dataset, 'indices': -held_out, 'test_mode': True,
                                   'on_error': 'raise'}
    cfg.test_evaluator = dict(type='RetrievalMetric')
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    set_report(cfg)


def parts(cfg, config: str) -> tuple[int, int]:
    """How many items of a config's training set to train on, and how many of its last ones to hold out.

    Raises:
        ConfigError: It is no data set of items, is chosen from already, or has too few.
    """
    from mmengine.registry import init_default_scope

    from mmcma.config import building
    from mmcma.datasets import RetrievalDataset
    from mmcma.registry import DATASETS
    init_default_scope('mmcma')
    with building(cfg):
        data = DATASETS.build(cfg.train_dataloader.dataset)
    if not isinstance(data, RetrievalDataset) or cfg.train_dataloader.dataset.get('indices') is not None:
        raise ConfigError(f'{config}: train_dataloader.dataset must be one whole data set, without indices and '
                          f'wrappers: a part of it is held out here; it is {type(data).__name__}.')
    held_out = min(len(data.items) // 10, MOST_HELD_OUT)
    if held_out < FEWEST_HELD_OUT:
        raise ConfigError(f'{config}: a tenth of its {len(data.items):,} training items is held out, and fewer than '
                          f'{FEWEST_HELD_OUT} say nothing of a learning rate: keep the rate of a similar data set.')
    others = len(data.items) - held_out
    return min(others, max(others // 4, LEAST_TRAINED)), held_out


def beyond(study: Study) -> Study | None:
    """The study with one rate more beyond the best of the first three, if that stands at their edge."""
    (name, entry), = study.entries.items()
    best = study.rate(name)
    if len(entry.rates) > len(HALF_POWERS) or best == entry.rates[1]:
        return None
    further = beside(entry.rates[1], 2 * (HALF_POWERS[0] if best == entry.rates[0] else HALF_POWERS[-1]))
    return replace(study, entries={name: replace(entry, rates=sorted([*entry.rates, further]))})


def beside(rate: float, half_powers: int) -> float:
    """A rate half powers of ten away, rounded to one digit: 0.01 has 0.003, 0.03 and 0.1 beside it."""
    return float(f'{rate * 10 ** (half_powers / 2):.1g}') if half_powers else rate


def tell(study: Study) -> None:
    """Prints the best rate and how to use it, and draws all that were tried into ``rates.png``."""
    (name, entry), = study.entries.items()
    recalls = [run['results'][study.metric] for run in study.results('tune', name)]
    best, plot = study.rate(name), study.folder / 'rates.png'
    write_atomic(png(recall_by_rate(entry.rates, recalls, f'{name}, {study.metric} on items held out', best)), plot)
    edge = {min(entry.rates): ' It is the lowest that was tried.',
            max(entry.rates): ' It is the highest that was tried.'}
    print(f'best of {", ".join(f"{rate:g}: {recall:.1f}" for rate, recall in zip(entry.rates, recalls))} is '
          f'{best:g}.{edge.get(best, "")}\n'
          f'use it    --cfg-options optim_wrapper.optimizer.lr={best:g}\nplot      {plot}')


def recall_by_rate(rates: Sequence[float], recalls: Sequence[float], title: str, best: float | None) -> Figure:
    """Recalls in percent by learning rate, the best of them marked."""
    figure = Figure(figsize=(6, 3.7), layout='constrained')
    axes = figure.subplots()
    axes.plot(rates, recalls, color=COLOURS[1], marker='o', markersize=4, linewidth=1.4)
    for rate, recall in zip(rates, recalls):
        axes.annotate(f'{recall:.1f}', (rate, recall), xytext=(0, 6), textcoords='offset points', ha='center',
                      fontsize=8, color=INK, fontweight='bold' if rate == best else 'normal',
                      bbox=dict(facecolor='white', edgecolor='none', pad=0.3))
    axes.set_xscale('log')
    axes.set_xticks(list(rates), [f'{rate:g}' for rate in rates])
    axes.minorticks_off()
    axes.margins(x=0.1, y=0.2)
    axes.set(title=title, xlabel='learning rate', ylabel='percent')
    plain(axes)
    return figure
