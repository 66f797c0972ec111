"""A study: which configs are compared, over which seeds and learning rates, and where each run's figures are kept."""
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmcma.utils.errors import ConfigError, did_you_mean

ROOT = Path(__file__).parents[2]
#: Where a study's runs, tables and plots are kept.
RESULTS = ROOT / 'docs' / 'results'
#: How often each method's cost is taken.
COST_ROUNDS = 3


@dataclass(frozen=True)
class Entry:
    """One method of a study.

    Attributes:
        name: What tables and files call it.
        config: Path, relative to ``configs/``.
        options: Replaced values of the config.
        rates: Learning rates to choose from; empty where nothing trains.
        tuned_as: Entry whose rate is taken over; none is chosen anew.
        train: Whether there is anything to train.
    """
    name: str
    config: str
    options: dict[str, Any] = field(default_factory=dict)
    rates: tuple[float, ...] = ()
    tuned_as: str | None = None
    train: bool = True

    @property
    def config_file(self) -> Path:
        return ROOT / 'configs' / self.config


@dataclass(frozen=True)
class Table:
    """A table of a study's page.

    Attributes:
        title: Its heading.
        entries: Their names, in the order of the rows.
        compared_with: Entry that differences are taken to.
    """
    title: str
    entries: tuple[str, ...]
    compared_with: str


@dataclass(frozen=True)
class Study:
    """Entries to be run under the same conditions; read from a YAML file of ``studies/``.

    Attributes:
        name: The file's name.
        title: Heading of its page.
        metric: Key that learning rates are chosen by, the higher the better.
        seeds: One run each.
        options: Replaced values of every config.
        tune_options: Replaced values of runs that choose a rate, beside ``options``: a
            shorter training, tested on the validation split.
        reference: Entry whose cost is 1.
        entries: By name.
        tables: By name.
    """
    name: str
    title: str
    metric: str
    seeds: tuple[int, ...]
    options: dict[str, Any]
    tune_options: dict[str, Any]
    reference: str
    entries: dict[str, Entry]
    tables: dict[str, Table]

    @property
    def folder(self) -> Path:
        """Where the figures of single runs are kept."""
        return RESULTS / self.name

    def run_file(self, entry: str, seed: int) -> Path:
        return self.folder / 'runs' / f'{entry}_seed-{seed}.json'

    def tune_file(self, entry: str, rate: float) -> Path:
        return self.folder / 'tune' / f'{entry}_lr-{rate:g}.json'

    def cost_file(self, entry: str, number: int) -> Path:
        return self.folder / 'cost' / f'{entry}_round-{number}.json'

    def costs(self, entry: str) -> list[dict]:
        """The finished rounds of an entry's cost."""
        files = (self.cost_file(entry, number) for number in range(COST_ROUNDS))
        return [json.loads(file.read_text()) for file in files if file.is_file()]

    def runs(self, entry: str) -> list[dict]:
        """The finished runs of an entry."""
        files = (self.run_file(entry, seed) for seed in self.seeds)
        return [json.loads(file.read_text()) for file in files if file.is_file()]

    def tried(self, entry: str) -> dict[float, float]:
        """The metric of each learning rate that was tried."""
        files = {rate: self.tune_file(entry, rate) for rate in self.entries[entry].rates}
        return {rate: json.loads(file.read_text())['results'][self.metric]
                for rate, file in files.items() if file.is_file()}

    def rate(self, entry: str) -> float | None:
        """The learning rate to run with: the best of all tried, the lower of equals; None where nothing trains.

        Raises:
            ConfigError: Not all of its rates have been tried yet.
        """
        source = self.entries[entry].tuned_as or entry
        rates, tried = self.entries[source].rates, self.tried(source)
        if not rates:
            return None
        if len(tried) < len(rates):
            raise ConfigError(f'study {self.name}: {source} has no learning rate yet, {len(tried)} of {len(rates)} '
                              f'were tried. Run `compare_methods.py tune {self.name}` first.')
        return max(sorted(rates), key=tried.get)


def read_study(path: Path) -> Study:
    """A study from its YAML file.

    Raises:
        ConfigError: A field is unknown or missing, or a name refers to nothing.
    """
    import mmengine
    if not path.is_file():
        known = ', '.join(sorted(file.stem for file in path.parent.glob('*.yml')))
        raise ConfigError(f'study {path.stem!r}: no file {path}; there are: {known}.')
    fields = mmengine.load(path)
    try:
        tune = fields.pop('tune')
        entries = {name: _entry(name, of, tuple(tune['rates'])) for name, of in fields.pop('entries').items()}
        tables = {name: Table(of['title'], tuple(of['entries']), of['compared_with'])
                  for name, of in fields.pop('tables').items()}
        study = Study(name=path.stem, entries=entries, tables=tables, tune_options=tune['options'],
                      seeds=tuple(fields.pop('seeds')), **fields)
    except (KeyError, TypeError) as error:
        raise ConfigError(f'{path}: {error}; see the other studies for the fields.') from error
    _check_names(study, path)
    return study


def _entry(name: str, fields: dict, rates: tuple[float, ...]) -> Entry:
    own = tuple(fields.get('rates', ()))
    choose = fields.get('train', True) and 'tuned_as' not in fields
    return Entry(name, **{**fields, 'rates': (own or rates) if choose else ()})


def _check_names(study: Study, path: Path) -> None:
    named = [study.reference, *(name for table in study.tables.values() for name in (*table.entries,
                                                                                     table.compared_with))]
    named += [entry.tuned_as for entry in study.entries.values() if entry.tuned_as]
    for name in named:
        if name not in study.entries:
            raise ConfigError(f'{path}: {name!r} is none of its entries.{did_you_mean(name, list(study.entries))}')
    for entry in study.entries.values():
        if not entry.config_file.is_file():
            raise ConfigError(f'{path}: entry {entry.name!r}: there is no {entry.config_file}.')
