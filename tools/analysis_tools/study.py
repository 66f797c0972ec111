"""A study: which configs are compared, over which seeds and learning rates, and where each run's figures are kept."""
import json
from collections.abc import Iterable
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
    """A table of a study's page: its heading, the names of its rows, and the one that differences are taken to."""
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

    def run_file(self, entry: str, seed: int) -> Path:
        return RESULTS / self.name / 'runs' / f'{entry}_seed-{seed}.json'

    def tune_file(self, entry: str, rate: float) -> Path:
        return RESULTS / self.name / 'tune' / f'{entry}_lr-{rate:g}.json'

    def cost_file(self, entry: str, number: int) -> Path:
        return RESULTS / self.name / 'cost' / f'{entry}_round-{number}.json'

    def costs(self, entry: str) -> list[dict]:
        """The finished rounds of an entry's cost."""
        return _read(self.cost_file(entry, number) for number in range(COST_ROUNDS))

    def runs(self, entry: str) -> list[dict]:
        """The finished runs of an entry."""
        return _read(self.run_file(entry, seed) for seed in self.seeds)

    def rate(self, entry: str) -> float | None:
        """The learning rate to run with: the best of all tried, the lower of equals; None where nothing trains.

        Raises:
            ConfigError: Not all of its rates have been tried yet.
        """
        source = self.entries[entry].tuned_as or entry
        rates = self.entries[source].rates
        tried = _read(self.tune_file(source, rate) for rate in rates)
        if len(tried) < len(rates):
            raise ConfigError(f'study {self.name}: {source} has no learning rate yet, {len(tried)} of {len(rates)} '
                              f'were tried. Run `compare_methods.py tune {self.name}` first.')
        recalls = {rate: run['results'][self.metric] for rate, run in zip(rates, tried)}
        return max(sorted(recalls), key=recalls.get, default=None)


def _read(files: Iterable[Path]) -> list[dict]:
    return [json.loads(file.read_text()) for file in files if file.is_file()]


def read_study(path: Path) -> Study:
    """A study from its YAML file.

    Raises:
        ConfigError: It is no plain YAML, a field is unknown or missing, or a name refers to nothing.
    """
    import yaml
    if not path.is_file():
        known = ', '.join(sorted(file.stem for file in path.parent.glob('*.yml')))
        raise ConfigError(f'study {path.stem!r}: no file {path}; there are: {known}.')
    try:
        fields = yaml.safe_load(path.read_text(encoding='utf-8'))  # mmengine's loader makes any object
        tune = fields.pop('tune')
        entries = {name: _entry(name, of, tuple(tune['rates'])) for name, of in fields.pop('entries').items()}
        tables = {name: Table(of['title'], tuple(of['entries']), of['compared_with'])
                  for name, of in fields.pop('tables').items()}
        study = Study(name=path.stem, entries=entries, tables=tables, tune_options=tune['options'],
                      seeds=tuple(fields.pop('seeds')), **fields)
    except yaml.YAMLError as error:
        raise ConfigError(f'{path}: {" ".join(str(error).split())}') from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f'{path}: {error}; see the other studies for the fields.') from error
    _check_names(study, path)
    return study


def _entry(name: str, fields: dict, rates: tuple[float, ...]) -> Entry:
    own = tuple(fields.get('rates', ()))
    choose = fields.get('train', True) and 'tuned_as' not in fields
    return Entry(name, **{**fields, 'rates': (own or rates) if choose else ()})


def _check_names(study: Study, path: Path) -> None:
    named = [study.reference, *(entry.tuned_as for entry in study.entries.values() if entry.tuned_as)]
    for table in study.tables.values():
        named += [*table.entries, table.compared_with]
    for name in named:
        if name not in study.entries:
            raise ConfigError(f'{path}: {name!r} is none of its entries.{did_you_mean(name, list(study.entries))}')
    for entry in study.entries.values():
        if not entry.config_file.is_file():
            raise ConfigError(f'{path}: entry {entry.name!r}: there is no {entry.config_file}.')
