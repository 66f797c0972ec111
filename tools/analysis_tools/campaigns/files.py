"""Files of strangers: checkpoints, exported folders, galleries and data whose reading is meant to run code.

What they hold makes a folder where it runs. A trial is wrong if that folder is there after the file was read.
"""
import contextlib
import io
import random
import runpy
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader

import mmcma.engine  # noqa: F401
from campaigns import Outcome, Verdict
from campaigns import _hostile as hostile
from campaigns import _payloads as payloads
from mmcma.apis import init_model
from mmcma.cli.main import main
from mmcma.utils.errors import UserError, cause

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / 'configs' / 'cma' / 'cma_tiny_glyphmotion.py'

#: What reads the hostile file of a trial.
Act = Callable[[], object]


def trials(count: int, seed: int, folder: Path) -> Iterator[Outcome]:
    """In turn every way in, with what is brought and where it hides drawn at random."""
    generator = random.Random(seed)
    adapter = hostile.plain_adapter(folder / 'adapter')
    ways = [*_pickles(), *_programs(), *hostile.folders(adapter), *hostile.galleries(), *hostile.data(ROOT)]
    generator.shuffle(ways)
    for number in range(count):
        name, make = ways[number % len(ways)]
        trial, mark = folder / str(number), folder / str(number) / 'it_ran'
        trial.mkdir()
        payloads.write_module(trial, mark)
        detail, act = make(trial, mark, generator)
        yield _outcome(f'{name}: {detail}', act, trial, mark)
        shutil.rmtree(trial)


def _outcome(name: str, act: Act, trial: Path, mark: Path) -> Outcome:
    try:
        with patch.object(sys, 'path', [str(trial), *sys.path]), contextlib.redirect_stdout(io.StringIO()), \
                contextlib.redirect_stderr(io.StringIO()) as said:
            act()
        verdict, detail = Verdict.RIGHT, 'read, and nothing ran'
    except UserError as error:
        verdict, detail = Verdict.REFUSED, str(error)
    except SystemExit as end:
        detail = f'{end.code} {said.getvalue()}'.strip()
        verdict = Verdict.REFUSED if 'error: ' in detail else Verdict.CRASHED
    except Exception as error:
        verdict, detail = Verdict.CRASHED, cause(error)
    for module in [module for module in sys.modules if module.partition('.')[0] == payloads.MODULE]:
        del sys.modules[module]
    return Outcome(Verdict.WRONG if mark.exists() else verdict, f'{name}: {" ".join(detail.split())[:300]}')


def _pickles() -> Iterator[tuple[str, hostile.Make]]:
    """A pickle that brings a call, at every place where a file of PyTorch is named."""
    work, tools = ['--work-dir', 'work'], ROOT / 'tools' / 'model_converters'
    for name, act in {
        'train --resume FILE': lambda file: main(['train', str(CONFIG), *work, '--resume', str(file)]),
        'train --resume': lambda file: main(['train', str(CONFIG), '--work-dir', str(file.parent), '--resume']),
        'load_from': lambda file: CheckpointLoader.load_checkpoint(str(file)),
        'test': lambda file: main(['test', str(CONFIG), str(file), *work]),
        'info': lambda file: main(['info', str(file)]),
        'export': lambda file: main(['export', str(CONFIG), str(file), str(file.parent / 'out')]),
        'index': lambda file: main(['index', '.', '--model', str(file), '--out', str(file.parent / 'out')]),
        'init_model': lambda file: init_model(str(CONFIG), file),
        'official_cma.py': lambda file: _script(tools / 'official_cma.py', file, file.parent / 'out.pth'),
        'to_hf.py': lambda file: _script(tools / 'to_hf.py', file, file.parent / 'out'),
    }.items():
        yield name, _pickle_for(act)


def _pickle_for(act: Callable[[Path], object]) -> hostile.Make:
    def make(trial: Path, mark: Path, generator: random.Random) -> tuple[str, Act]:
        kind, call = generator.choice([*payloads.calls(mark).items()])
        place, content = generator.choice([*payloads.hidden(call).items()])
        archive, file = generator.random() < 0.8, trial / 'epoch_1.pth'
        torch.save(content, file, _use_new_zipfile_serialization=archive)
        return f'{kind} in {place}, {"archive" if archive else "bare pickle"}', lambda: act(file)
    return make


def _programs() -> Iterator[tuple[str, hostile.Make]]:
    """A checkpoint that holds its config as a program."""
    for name, entry, act in (
            ('info', 'cfg', lambda file: main(['info', file])), ('init_model', 'cfg', init_model),
            ('index', 'cfg', lambda file: main(['index', '.', '--model', file, '--out', f'{file}.out'])),
            ('the runner', 'config', _resume)):
        yield f'program, {name}', _program_for(entry, act)


def _program_for(entry: str, act: Callable[[str], object]) -> hostile.Make:
    def make(trial: Path, mark: Path, generator: random.Random) -> tuple[str, Act]:
        place, text = generator.choice([*payloads.programs(mark).items()])
        file = trial / 'epoch_1.pth'
        torch.save(dict(state_dict={}, meta=dict(iter=1, epoch=1, **{entry: text})), file)
        return place, lambda: act(str(file))
    return make


def _resume(file: str) -> None:
    """What mmengine's runner does with a checkpoint that it resumes."""
    meta = CheckpointLoader.load_checkpoint(file)['meta']
    if 'config' in meta:
        Config.fromstring(meta['config'], file_format='.py')


def _script(path: Path, *arguments: str | Path) -> None:
    with patch.object(sys, 'argv', [path.name, *map(str, arguments)]):
        runpy.run_path(str(path))['main']()
