"""What mmcma info says of this machine: of packages that are there, missing, and too old."""
from importlib.metadata import PackageNotFoundError

import pytest

from mmcma.apis import installation
from mmcma.cli.main import main

REQUIRES = ['torch>=2.4', 'av>=17.0', 'peft>=0.21; python_version >= "3"', 'colour>=1; sys_platform == "amiga"',
            'lance>=1; extra == "search"', 'numpy>=1; extra == "search"', 'ray[data]>=2; extra == "ray"']
THERE = {'torch': '2.15.0+cpu', 'av': '16.1', 'numpy': '2.0', 'mmcma': '0.2', 'ray': '3.0', 'onedl-mmengine': '0.10.12'}


@pytest.fixture
def machine(monkeypatch):
    """Versions by name of what is installed."""
    there = dict(THERE)

    def version(name: str) -> str:
        if name not in there:
            raise PackageNotFoundError(name)
        return there[name]
    monkeypatch.setattr(installation, 'version', version)
    monkeypatch.setattr(installation, 'requires', lambda _: REQUIRES)
    return there


def test_what_is_missing_or_too_old(machine):
    assert installation.unmet() == ['av>=17.0 (here 16.1)', 'peft>=0.21']
    assert installation.unmet('search') == ['lance>=1'] and installation.unmet('ray') == []


def test_info_says_what_to_install(machine, capsys):
    main(['info'])
    told = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert told['torch'] == '2.15.0+cpu' and told['transformers'] == 'missing' and 'cores' in told['devices']
    assert told['requirements'] == 'missing av>=17.0 (here 16.1), peft>=0.21: pip install --upgrade mmcma'
    assert told['[search]'] == "missing lance>=1: pip install 'mmcma[search]'" and told['[ray]'] == 'all there'
    assert told['mmengine'] == 'onedl-mmengine 0.10.12'


def test_two_packages_that_write_the_same_files(machine):
    machine['mmengine'] = '0.10.7'
    said = installation.describe_installation()['mmengine']
    assert said.startswith('onedl-mmengine 0.10.12 and mmengine 0.10.7 write the same files: pip uninstall')


def test_a_folder_that_is_not_installed(machine, monkeypatch):
    def metadata(name):
        raise PackageNotFoundError(name)
    monkeypatch.setattr(installation, 'metadata', metadata)
    assert 'not installed' in installation.describe_installation()['requirements']
