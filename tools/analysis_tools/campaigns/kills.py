"""Training killed at a random moment (SIGKILL) and resumed: does it end where the undisturbed run ends, bit by bit?

Every other trial has dropout. A trial is a fork of this process, which has imported everything already.
"""
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from campaigns import Outcome, Verdict

_CONFIGS = Path(__file__).parents[3] / 'configs' / '_base_'
_DROPOUT = (0.0, 0.1)
_PICTURES = 12

_CONFIG = """
_base_ = ['{configs}/models/clip_tiny.py', '{configs}/datasets/captioned_files.py', '{configs}/schedules/cma_tiny.py',
          '{configs}/default_runtime.py']
model = dict(neck=dict(type='CrossModalAdapter', bottleneck_dim=8, shared_dim=16, dropout={dropout}))
data_root = '{data}'
pipeline = [dict(type='LoadImage'), dict(type='ResizeCrop', size=64), dict(type='PackRetrievalInputs')]
num_workers = 0
own = dict(data_root=data_root, pipeline=pipeline, ann_file='pictures.csv')
train_dataloader = dict(batch_size=12, num_workers=1, persistent_workers=True, dataset=own)
val_dataloader = dict(batch_size=12, dataset=own)
test_dataloader = dict(batch_size=8, dataset=own)
train_cfg = dict(max_epochs=3)
default_hooks = dict(checkpoint=dict(save_best='t2v/MnR', rule='less'))
custom_hooks = [dict(type='FrozenParameterHook'), dict(type='BestCheckpointHook'), dict(type='ResumeHook'),
                dict(type='CollapseHook')]
visualizer = dict(vis_backends=[])
"""


def trials(count: int, seed: int, folder: Path) -> Iterator[Outcome]:
    """Kills ``count`` runs, each once."""
    import torch

    import mmcma.datasets
    import mmcma.engine
    import mmcma.models  # noqa: F401
    torch.set_num_threads(1)
    rng = random.Random(seed)
    _write_pictures(folder / 'data', rng)
    references = {}
    for dropout in _DROPOUT[:count]:
        config = folder / f'dropout_{dropout}.py'
        config.write_text(_CONFIG.format(configs=_CONFIGS, dropout=dropout, data=folder / 'data'))
        began = time.monotonic()
        if (code := _run(config, folder / f'whole_{dropout}')) != 0:
            raise RuntimeError(f'the undisturbed run ended with {code}: {_tail(folder / f"whole_{dropout}")}')
        references[dropout] = config, time.monotonic() - began, _weights(folder / f'whole_{dropout}')
    for number in range(count):
        dropout = _DROPOUT[number % len(_DROPOUT)]
        config, seconds, expected = references[dropout]
        yield _trial(config, folder / f'run{number}', rng.uniform(0, seconds), expected, f'dropout {dropout}')


def _trial(config: Path, work: Path, delay: float, expected: dict, what: str) -> Outcome:
    code = _run(config, work, kill_after=delay)
    there = sorted(path.name for path in work.glob('*.pth'))
    detail = f'{what}, killed after {delay:.2f} s with {there or "no checkpoint"}' if code else f'{what}, not killed'
    if code not in (0, -signal.SIGKILL) or (code := _run(config, work, '--resume')) != 0:
        return Outcome(Verdict.CRASHED, f'{detail}: exit code {code}: {_tail(work)}')
    found = _weights(work)
    different = [name for name in expected.keys() | found.keys() if not _equal(expected.get(name), found.get(name))]
    shutil.rmtree(work)
    return Outcome(Verdict.WRONG, f'{detail}: {different[:3]}') if different else Outcome(Verdict.RIGHT, detail)


def _run(config: Path, work: Path, *options: str, kill_after: float | None = None) -> int | None:
    """Exit code of ``mmcma train`` in a process of its own."""
    process = multiprocessing.get_context('fork').Process(target=partial(_train, config, work, options))
    process.start()
    process.join(120 if kill_after is None else kill_after)
    if process.exitcode is None:
        process.kill()
        process.join()
    return process.exitcode


def _train(config: Path, work: Path, options: tuple[str, ...]) -> None:
    from mmcma.cli.main import main
    os.dup2(os.open(f'{work}.log', os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
    os.dup2(1, 2)
    main(['train', str(config), '--work-dir', str(work), *options])


def _weights(work: Path) -> dict:
    """Tensors of the last and of the best checkpoint, with where those stand in the training."""
    from mmcma.checkpoints.checkpoint_file import newest_checkpoint, read_checkpoint
    found = {}
    for name, checkpoint in (('last', newest_checkpoint(work)[1]), ('best', read_checkpoint(work / 'best.pth'))):
        found[f'{name} iter'] = checkpoint['meta']['iter']
        found.update((f'{name} {key}', tensor) for key, tensor in checkpoint['state_dict'].items())
    return found


def _equal(one, other) -> bool:
    return one.equal(other) if hasattr(one, 'equal') and hasattr(other, 'equal') else one == other


def _tail(work: Path) -> str:
    log = Path(f'{work}.log')
    return ' / '.join(log.read_text(errors='replace').splitlines()[-2:])[-300:] if log.exists() else 'no output'


def _write_pictures(folder: Path, rng: random.Random) -> None:
    """Plain pictures of a colour each, two captions a picture."""
    from PIL import Image
    (folder / 'videos').mkdir(parents=True)
    lines = ['path,caption']
    for number in range(_PICTURES):
        Image.new('RGB', (64, 64), tuple(rng.randrange(256) for _ in range(3))).save(folder / f'videos/{number}.png')
        lines += [f'{number}.png,a red star {number}', f'{number}.png,moon and snow {number}']
    (folder / 'pictures.csv').write_text('\n'.join(lines) + '\n')
