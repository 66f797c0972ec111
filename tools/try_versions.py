"""Tries the package with the oldest and the newest versions that it admits, and looks for wheels for other machines.

    python tools/try_versions.py
    python tools/try_versions.py --python 3.10 3.13 --versions oldest
    python tools/try_versions.py --python 3.11 --versions newest --upstream-mmengine

For each Python and set of versions: a new environment, the wheel of this checkout with what it requires, from wheels
alone, `pip check`, and three training steps of the quickstart, without a network. It prints a table, and leaves with 1
if anything failed. uv does it (`pip install uv`), with the Pythons that it finds; an environment takes 2 to 7 GB while
it is tried, and is removed. With --machines nothing is installed: are there wheels for other machines (macOS: of 14)?
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import which

from mmcma.cli.arguments import run_tool
from mmcma.utils.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]
RUNTIME = ROOT / 'requirements' / 'runtime.txt'
PYTHONS = ('3.10', '3.11', '3.12', '3.13')
RESOLUTIONS = {'oldest': 'lowest-direct', 'newest': 'highest'}
MACHINES = ('x86_64-unknown-linux-gnu', 'aarch64-unknown-linux-gnu', 'aarch64-apple-darwin', 'x86_64-pc-windows-msvc')
SHOWN = ('torch', 'transformers', 'numpy')
FEW = 'dataset.num_clips={train: 8, val: 8, test: 8}'
TRAIN = ('train', 'cma_tiny_glyphmotion', '--cfg-options', 'train_dataloader.batch_size=16',
         *(f'{loader}_dataloader.{FEW}' for loader in ('train', 'val', 'test')))


class Failed(Exception):
    """A command did not end with 0; the message is the last line that it wrote."""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--python', nargs='+', default=PYTHONS, metavar='VERSION', help=f'default: {" ".join(PYTHONS)}')
    parser.add_argument('--versions', nargs='+', choices=list(RESOLUTIONS), default=list(RESOLUTIONS))
    parser.add_argument('--upstream-mmengine', action='store_true', help="replace onedl-mmengine with OpenMMLab's own")
    parser.add_argument('--machines', action='store_true', help='look for wheels only, train nothing')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    for python in args.python:
        if not re.fullmatch(r'3\.\d+(\.\d+)?', python):
            raise ConfigError(f'--python {python} is no version, as in --python 3.13')
    if which('uv') is None:
        raise ConfigError('there is no uv: pip install uv')
    failed = False
    print('| Python | versions | machine | ' + ' | '.join(SHOWN) + ' | |\n|' + '---|' * (len(SHOWN) + 4))
    for python in args.python:
        for versions in args.versions:
            outcomes = dict.fromkeys(MACHINES, wheels_for) if args.machines else {'this one': trained_here}
            for machine, attempt in outcomes.items():
                try:
                    found, result = attempt(python, versions, machine, args), 'works'
                except Failed as error:
                    found, result, failed = {}, str(error), True
                row = (python, versions, machine, *(found.get(name, '') for name in SHOWN), result)
                print(f'| {" | ".join(row)} |', flush=True)
    sys.exit(int(failed))


def wheels_for(python: str, versions: str, machine: str, args: argparse.Namespace) -> dict[str, str]:
    """Version by name of what would be installed there.

    Raises:
        Failed: Something has no wheel.
    """
    return pinned(call('uv', 'pip', 'compile', '--quiet', '--no-header', '--no-annotate', '--only-binary', ':all:',
                       '--python-version', python, '--python-platform', machine, '--resolution', RESOLUTIONS[versions],
                       RUNTIME))


def trained_here(python: str, versions: str, machine: str, args: argparse.Namespace) -> dict[str, str]:
    """Version by name of what was installed, after a training with it.

    Raises:
        Failed: It cannot be installed, fits not together, or does not train.
    """
    with tempfile.TemporaryDirectory(prefix='mmcma-versions-') as folder:
        env = Path(folder, 'env')
        install = ('uv', 'pip', 'install', '--python', env)
        call('uv', 'build', '--wheel', '--out-dir', folder, ROOT)
        call('uv', 'venv', '--python', python, env)
        call(*install, '--only-binary', ':all:', '--resolution', RESOLUTIONS[versions], *Path(folder).glob('*.whl'),
             '--requirements', RUNTIME)  # named, or the oldest would be of the wheel itself alone
        call('uv', 'pip', 'check', '--python', env)
        if args.upstream_mmengine:
            call('uv', 'pip', 'uninstall', '--python', env, 'onedl-mmengine')
            call(*install, 'mmengine')
        call(env / ('Scripts' if os.name == 'nt' else 'bin') / 'mmcma', *TRAIN, cwd=folder)
        return pinned(call('uv', 'pip', 'freeze', '--python', env))


def pinned(text: str) -> dict[str, str]:
    """Version by name of the lines ``name==version``."""
    return dict(line.split('==') for line in text.splitlines() if line.count('==') == 1)


def call(*command, cwd: str | Path = ROOT) -> str:
    """What a command wrote to standard output, without this Python's own paths.

    Raises:
        Failed: It did not end with 0.
    """
    env = {key: value for key, value in os.environ.items() if key not in ('PYTHONPATH', 'VIRTUAL_ENV')}
    env.update(HF_HUB_OFFLINE='1', MACOSX_DEPLOYMENT_TARGET='14.0')
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f'exit code {done.returncode}']
        raise Failed(f'{Path(command[0]).name} {command[1]}: {lines[-1].strip()}')
    return done.stdout


if __name__ == '__main__':
    run_tool(main)
