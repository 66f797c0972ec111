"""The sdist and the wheel: built, installed beside no checkout, and used."""
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
SIZES = [f'{loader}_dataloader.dataset.num_clips={{train: 8, val: 8, test: 8}}' for loader in ('train', 'val', 'test')]


def call(*command, cwd: Path, code: int = 0) -> str:
    """Output of a command that ends with this exit code, in an environment that knows no checkout."""
    env = {key: value for key, value in os.environ.items() if key not in ('PYTHONPATH', 'VIRTUAL_ENV')}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == code, f'{command}\n{done.stdout}\n{done.stderr}'
    return done.stdout + done.stderr


def environment(folder: Path, *what) -> Path:
    """The programs of a new environment that has this one's packages, and mmcma from elsewhere."""
    venv.create(folder)
    python = folder / 'bin' / 'python'
    site = Path(call(python, '-c', 'import sysconfig; print(sysconfig.get_path("purelib"))', cwd=folder).strip())
    (site / 'outer.pth').write_text(sysconfig.get_path('purelib') + '\n')  # its .pth files, editable installs, are not
    call(sys.executable, '-m', 'pip', '--python', python, 'install', '--quiet', '--no-deps', '--no-index',
         '--no-build-isolation', *what, cwd=folder)
    return folder / 'bin'


@pytest.fixture(scope='module')
def clone(tmp_path_factory) -> Path:
    """What the sdist holds, in a folder called as the package is."""
    folder = tmp_path_factory.mktemp('sources')
    copy = folder / 'copy'
    shutil.copytree(ROOT, copy, symlinks=True, ignore=shutil.ignore_patterns(
        '.git', 'build', 'data', 'work_dirs', '*.egg-info', '__pycache__', '.*_cache', '.hypothesis'))
    call(sys.executable, '-c', 'from setuptools.build_meta import build_sdist; build_sdist("..")', cwd=copy)
    with tarfile.open(next(folder.glob('*.tar.gz'))) as archive:
        archive.extractall(folder, filter='data')
    return next(folder.glob('mmcma-*/')).rename(folder / 'mmcma')


@pytest.fixture(scope='module')
def programs(clone) -> Path:
    """``bin`` of an environment with the wheel that was built from the sdist."""
    wheels = clone.parent / 'wheels'
    call(sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-index', '--no-build-isolation',
         '--wheel-dir', wheels, clone, cwd=clone.parent)
    return environment(clone.parent / 'from_wheel', *wheels.glob('*.whl'))


@pytest.mark.slow
def test_quickstart_and_a_search_from_the_wheel_alone(programs, tmp_path):
    mmcma = programs / 'mmcma'
    assert re.fullmatch(r'mmcma \d+\.\d+\S*\n', call(mmcma, '--version', cwd=tmp_path))
    told = call(mmcma, 'info', cwd=tmp_path)
    assert f'in {programs.parent}' in told and re.search(r'^requirements +all there$', told, re.M)
    said = call(mmcma, 'train', 'cma_tiny_glyphmotion', '--cfg-options', *SIZES, 'train_dataloader.batch_size=16',
                cwd=tmp_path)
    assert '[1][3/3]' in said and re.search('adapted +T2V', said)
    trained = tmp_path / 'work_dirs' / 'cma_tiny_glyphmotion' / 'best.pth'
    said = call(mmcma, 'test', 'cma_tiny_glyphmotion', trained, '--cfg-options', SIZES[2], cwd=tmp_path)
    assert re.search('adapted +T2V', said)
    call(mmcma, 'export', 'cma_tiny_glyphmotion', trained, 'cma-glyphs', cwd=tmp_path)
    clips = next((tmp_path / 'data' / 'glyphmotion').glob('*/test'))
    call(mmcma, 'index', clips, '--model', 'cma-glyphs', '--out', 'gallery', '--workers', '1', cwd=tmp_path)
    found = call(mmcma, 'search', 'gallery', 'a blue telephone', '-k', '3', cwd=tmp_path)
    assert len(re.findall(r'^ +\d ', found, re.M)) == 3
    (tmp_path / 'own.py').write_text("_base_ = 'mmcma::cma/cma_tiny_glyphmotion.py'\n"
                                     'model = dict(neck=dict(bottleneck_dim=4))\n')
    assert 'bottleneck_dim=4, shared_dim=16' in call(mmcma, 'info', 'own.py', cwd=tmp_path)
    assert "Did you mean 'cma_tiny_msvd'" in call(mmcma, 'train', 'cma_tiny_msdv', cwd=tmp_path, code=2)


@pytest.mark.slow
def test_an_editable_install_is_found_from_the_folder_above_the_clone(clone):
    programs = environment(clone.parent / 'editable', '--editable', clone)
    where = call(programs / 'python', '-c', 'import mmcma; print(mmcma.__file__)', cwd=clone.parent)
    assert where.strip() == str(clone / 'mmcma' / '__init__.py')


def test_what_is_built_from_source_or_lacks_wheels_is_no_requirement():
    def names(file: str) -> dict[str, Requirement]:
        lines = (ROOT / 'requirements' / f'{file}.txt').read_text().splitlines()
        return {line.name: line for line in map(Requirement, (line for line in lines if not line.startswith('#')))}

    assert not {'onedl-mmcv', 'onedl-mmpretrain', 'torchvision', 'decord'} & names('runtime').keys()
    machines = {('linux', 'x86_64'): True, ('win32', 'AMD64'): True, ('linux', 'aarch64'): False,
                ('darwin', 'arm64'): False, ('darwin', 'x86_64'): False}
    for (system, machine), wanted in machines.items():
        place = dict(sys_platform=system, platform_machine=machine)
        assert names('decord')['decord'].marker.evaluate(place) is wanted
