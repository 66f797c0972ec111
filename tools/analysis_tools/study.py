"""A study: which configs are compared, over which seeds and learning rates, and where each run's figures are kept."""
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from mmcma.utils.errors import ConfigError, did_you_mean

ROOT = Path(__file__).parents[2]
#: Where a study's runs, tables and plots are kept.
RESULTS = ROOT / 'docs' / 'results'
#: Keys of the figures that tables have.
RECALLS = tuple(f'{direction}/{key}' for direction in ('t2v', 'v2t') for key in ('R@1', 'R@5', 'R@10', 'MdR', 'MnR'))
#: How often each method's cost is taken.
COST_ROUNDS = 3
#: Kind of run -> its file below the study's folder, by the entry and what tells its runs apart.
FILES = {'tune': 'tune/{}_lr-{:g}.json', 'run': 'runs/{}_seed-{}.json', 'cost': 'cost/{}_round-{}.json'}


@dataclass(frozen=True)
class Entry:
    """One method of a study.

    Attributes:
        name: What tables and files call it.
        config: Path, relative to ``configs/``.
        rates: Learning rates to choose from; of one there is nothing to choose.
        options: Replaced values of the config.
        tuned_as: Entry whose rate is taken over; none is chosen anew.
        train: Whether there is anything to train.
    """
    name: str
    config: str
    rates: Sequence[float]
    options: dict[str, Any] = field(default_factory=dict)
    tuned_as: str | None = None
    train: bool = True

    @property
    def config_file(self) -> Path:
        return ROOT / 'configs' / self.config


@dataclass(frozen=True)
class Table:
    """A table of a study's page: its heading, the names of its rows, and the one that differences are taken to."""
    title: str
    entries: Sequence[str]
    compared_with: str


@dataclass(frozen=True)
class Sweep:
    """What a study varies: its name, and for each of its values the replaced values of the configs."""
    title: str
    values: dict[int, dict[str, Any]]


@dataclass(frozen=True)
class Study:
    """Entries to be run under the same conditions; read from a YAML file of ``studies/``.

    Attributes:
        name: The file's name.
        title: Heading of its page.
        metric: Key that learning rates are chosen by, the higher the better.
        seeds: One run each.
        options: Replaced values of every config.
        tune: ``rates`` of entries that name none, and replaced values of runs that choose one, ``options``: a shorter
            training, tested on the validation split.
        reference: Entry whose cost is 1.
        entries: By name.
        tables: By name.
        sweep: Where there is one, ``entries`` has each method that trains once for every value, as ``cma_500``.
        folder: Where its runs and plots are kept.
    """
    name: str
    title: str
    metric: str
    seeds: Sequence[int]
    options: dict[str, Any]
    tune: dict[str, Any]
    reference: str
    entries: dict[str, Entry]
    tables: dict[str, Table]
    sweep: Sweep | None
    folder: Path

    def values(self, kind: str, name: str) -> Sequence[float]:
        """What tells an entry's runs of a kind apart: learning rates, seeds, or numbers of rounds."""
        entry = self.entries[name]
        if kind == 'run':
            return self.seeds if entry.train else self.seeds[:1]
        if not entry.train:
            return ()
        if kind == 'cost':
            return range(COST_ROUNDS)
        return () if entry.tuned_as or len(entry.rates) == 1 else entry.rates

    def file(self, kind: str, name: str, value: float) -> Path:
        """Where the figures of a run are kept."""
        return self.folder / FILES[kind].format(name, value)

    def results(self, kind: str, name: str) -> list[dict]:
        """The figures of an entry's finished runs of a kind."""
        files = [self.file(kind, name, value) for value in self.values(kind, name)]
        return [json.loads(file.read_text()) for file in files if file.is_file()]

    def rate(self, name: str) -> float | None:
        """The learning rate to run with: the best of all tried, the lower of equals; None where nothing trains.

        Raises:
            ConfigError: Not all of its rates have been tried yet.
        """
        source = self.entries[name].tuned_as or name
        if self.entries[source].train and len(self.entries[source].rates) == 1:
            return self.entries[source].rates[0]
        rates, tried = self.values('tune', source), self.results('tune', source)
        if len(tried) < len(rates):
            raise ConfigError(f'study {self.name}: {source} has no learning rate yet, {len(tried)} of {len(rates)} '
                              f'were tried. Run `compare_methods.py tune {self.name}` first.')
        recalls = {rate: run['results'][self.metric] for rate, run in zip(rates, tried)}
        return max(sorted(recalls), key=recalls.__getitem__, default=None)


def read_study(path: Path) -> Study:
    """A study from its YAML file.

    Raises:
        ConfigError: It is no plain YAML, a field is unknown or missing, or a name refers to nothing.
    """
    import yaml
    if not path.is_file():
        known = ', '.join(sorted(file.stem for file in path.parent.glob('*.yml')))
        raise ConfigError(f'study or config {path.stem!r} does not exist; studies there are: {known}.')
    try:
        fields = yaml.safe_load(path.read_text(encoding='utf-8'))  # mmengine's loader makes any object
        rates = fields['tune']['rates']
        methods = [Entry(name, **{'rates': rates, **of}) for name, of in fields.pop('entries').items()]
        tables = {name: Table(**of) for name, of in fields.pop('tables', {}).items()}
        sweep = Sweep(**fields.pop('sweep')) if 'sweep' in fields else None
        entries = {entry.name: entry for method in methods for entry in swept(method, sweep)}
        study = Study(path.stem, entries=entries, tables=tables, sweep=sweep, folder=RESULTS / path.stem, **fields)
    except yaml.YAMLError as error:
        raise ConfigError(f'{path}: {" ".join(str(error).split())}') from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f'{path}: {error}; see the other studies for the fields.') from error
    named = [study.reference, *(entry.tuned_as for entry in entries.values() if entry.tuned_as)]
    for name in [*named, *(name for table in tables.values() for name in (*table.entries, table.compared_with))]:
        if name not in entries:
            raise ConfigError(f'{path}: {name!r} is none of its entries.{did_you_mean(name, list(entries))}')
    for entry in entries.values():
        if not entry.config_file.is_file():
            raise ConfigError(f'{path}: entry {entry.name!r}: there is no {entry.config_file}.')
    return study


def swept(method: Entry, sweep: Sweep | None) -> list[Entry]:
    """A method once for every value of a sweep; alone where there is none, or nothing to train."""
    if sweep is None or not method.train:
        return [method]
    return [replace(method, name=f'{method.name}_{value}', options={**method.options, **options})
            for value, options in sweep.values.items()]


def spread(values: list[float]) -> str:
    """``mean ± standard deviation``, or the value where there is one."""
    return f'{mean(values):.1f} ± {stdev(values):.1f}' if len(values) > 1 else f'{values[0]:.1f}'
