"""What is installed here: versions, devices, and what optional parts of the package lack."""
import os
import platform
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

import torch
from packaging.requirements import Requirement

import mmcma

_SHOWN = ('torch', 'transformers', 'peft', 'numpy', 'av')
#: Extras for those who change the package.
_DEVELOPERS = ('docs', 'tests')
#: Packages that all import as ``mmengine``: each writes over the files of the others.
_MMENGINES = ('onedl-mmengine', 'mmengine', 'mmengine-lite')


def describe_installation() -> dict[str, str]:
    """Facts by name, in words: versions, devices, what is missing, and what each optional part lacks."""
    facts = {'mmcma': f'{mmcma.__version__} in {Path(mmcma.__file__).parent}',
             'Python': f'{platform.python_version()}, {platform.system()} {platform.machine()}',
             'mmengine': _mmengine()}
    facts.update((name, _installed(name) or 'missing') for name in _SHOWN)
    facts['devices'] = ', '.join(_devices())
    try:
        extras = metadata('mmcma').get_all('Provides-Extra') or []
    except PackageNotFoundError:
        return dict(facts, requirements='unknown: mmcma is imported from a folder and not installed (pip install -e .)')
    facts['requirements'] = _in_words(unmet(), 'pip install --upgrade mmcma')
    facts.update((f'[{extra}]', _in_words(unmet(extra), f"pip install 'mmcma[{extra}]'"))
                 for extra in extras if extra not in _DEVELOPERS)
    return facts


def unmet(extra: str = '') -> list[str]:
    """Requirements that are missing here or have another version, such as ``'av>=17.0'``.

    Args:
        extra: Those that this extra adds; by default those of the package itself.
    """
    found = []
    for line in requires('mmcma') or []:
        requirement = Requirement(line)
        with_it, without = (requirement.marker is None or requirement.marker.evaluate({'extra': name})
                            for name in (extra, ''))
        if not with_it or extra and without:
            continue
        there = _installed(requirement.name)
        if there is None or not requirement.specifier.contains(there, prereleases=True):
            found.append(f'{requirement.name}{requirement.specifier}' + (f' (here {there})' if there else ''))
    return found


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _mmengine() -> str:
    there = [f'{name} {found}' for name in _MMENGINES if (found := _installed(name))]
    if len(there) < 2:
        return there[0] if there else 'missing'
    return (f'{" and ".join(there)} write the same files: pip uninstall {" ".join(_MMENGINES)}, then pip install '
            f'{_MMENGINES[0]}')


def _devices() -> list[str]:
    devices = [f'cuda:{number} {torch.cuda.get_device_name(number)}' for number in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append('mps')
    return [*devices, f'cpu ({os.cpu_count()} cores)']


def _in_words(missing: list[str], remedy: str) -> str:
    return f'missing {", ".join(missing)}: {remedy}' if missing else 'all there'
