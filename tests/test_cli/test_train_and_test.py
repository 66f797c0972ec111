"""The command line tools end to end: what they write, what they say of bad input, and what a kill leaves."""
import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.clip import write_clip
from helpers.commands import run
from helpers.processes import context
from helpers.tiny_run import NoiseClips, write_config

from mmcma.config import load_config

TOOLS = Path(__file__).parents[2] / 'tools'


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize('tool', [path.relative_to(TOOLS).as_posix() for path in sorted(TOOLS.rglob('*.py'))
                                  if '__main__' in path.read_text()])
def test_help_answers_without_heavy_imports(tool):
    code = ('import sys, runpy\n'
            f'tool = {str(TOOLS / tool)!r}\n'
            'sys.argv, sys.path[0] = [tool, "--help"], tool.rpartition("/")[0]\n'
            'try: runpy.run_path(tool, run_name="__main__")\n'
            'except SystemExit as end: assert end.code == 0\n'
            'heavy = {"torch", "mmengine", "transformers", "matplotlib"} & sys.modules.keys()\n'
            'assert not heavy, heavy')
    environment = dict(os.environ, PYTHONPATH=str(TOOLS.parent))
    shown = subprocess.run([sys.executable, '-c', code], env=environment, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith('usage: ')


def test_a_test_leaves_the_training_data_alone(tiny_clip, here, monkeypatch, capfd):
    config = write_config(here, tiny_clip, extra='custom_hooks = _base_.custom_hooks')
    built, build = [], NoiseClips.__init__
    monkeypatch.setattr(NoiseClips, '__init__', lambda self, **options: built.append(options) or build(self, **options))
    assert run('test', config) == 0
    assert [options['seed'] for options in built] == [3] and 'No query panels' not in capfd.readouterr().out
    assert next((here / 'work_dirs' / 'tiny').glob('*/query_panels.png'))


def test_the_package_alone_imports_nothing_heavy():
    code = 'import mmcma, sys; assert not {"torch", "mmengine", "numpy"} & sys.modules.keys()'
    subprocess.run([sys.executable, '-c', code], env=dict(os.environ, PYTHONPATH=str(TOOLS.parent)), check=True)


def test_training_and_testing_a_config(tiny_clip, here, capfd):
    config = write_config(here, tiny_clip)
    assert run('train', config, '--seed', 5) == 0
    check_terminal(capfd.readouterr(), here / 'work_dirs' / 'tiny')
    work = here / 'work_dirs' / 'tiny'
    assert {'best.pth', 'epoch_2.pth', 'tiny.py'} <= {path.name for path in work.iterdir()}
    assert torch.load(work / 'best.pth', weights_only=False)['meta']['seed'] == 5
    assert run('test', config, work / 'best.pth', '--out', 'adapted.json') == 0
    assert run('test', config, '--out', 'zero_shot.json') == 0
    adapted, zero_shot = (json.loads(Path(name).read_text()) for name in ('adapted.json', 'zero_shot.json'))
    assert adapted.keys() == zero_shot.keys() and 't2v/R@1' in adapted
    assert adapted != zero_shot


def check_terminal(shown, work: Path) -> None:
    """What trains, and a line a step; what is about environment, config and hooks is in the log file alone."""
    assert shown.err == '' and len(shown.out.splitlines()) <= 40
    for text in ('What trains:', 'Epoch(train) [2][1/4]', 'Epoch(val) [2][3/3]', 't2v/R@1'):
        assert text in shown.out, text
    log, = work.glob('*/*.log')
    for text in ('System environment:', 'SymmetricInfoNCE', 'Hooks will be executed', 'What trains:', 'Epoch(val)'):
        assert text in log.read_text(), text
    for text in ('System environment:', 'SymmetricInfoNCE', 'Hooks will be executed', 'deprecated'):
        assert text not in shown.out, text


def test_what_options_of_training_stand_for(tiny_clip, here):
    config = write_config(here, tiny_clip, epochs=1)
    options = ['--amp', '--auto-scale-lr', '--no-validate', '--no-pin-memory', '--resume', 'auto', '--cfg-options',
               'train_dataloader.pin_memory=True', 'auto_scale_lr.base_batch_size=24']
    assert run('train', config, *options) == 0
    work = here / 'work_dirs' / 'tiny'
    assert (work / 'epoch_1.pth').exists() and not (work / 'best.pth').exists()
    ran = load_config(work / 'tiny.py')
    assert ran.model.precision == 'bf16' and ran.val_dataloader is None
    assert not ran.train_dataloader.pin_memory and not ran.test_dataloader.pin_memory
    saved = torch.load(work / 'epoch_1.pth', weights_only=False)
    assert {group['initial_lr'] for group in saved['optimizer']['param_groups']} == {1e-2 * 12 / 24}


def test_what_options_of_a_test_leave(tiny_clip, here):
    config = write_config(here, tiny_clip)
    assert run('test', config, '--dump', 'all.pkl', '--show-dir', 'shown', '--out', 'metrics.json') == 0
    items = pickle.loads(Path('all.pkl').read_bytes())
    assert sorted(item['item_id'] for item in items) == [f'clip{number}' for number in range(7)]
    assert items[0]['captions'] and items[0]['visual_tokens'].shape[0] == 3
    assert {'report.json', 'report.html', 'query_panels.png'} <= {path.name for path in Path('shown').iterdir()}
    report = json.loads(Path('shown/report.json').read_text())
    assert report['results']['zero-shot']['t2v/R@1'] == json.loads(Path('metrics.json').read_text())['t2v/R@1']


@pytest.mark.parametrize('name, options, said', [
    ('test', ['--dump', 'all.json'], 'error: --dump all.json: results are dumped as a pickle; call it all.json.pkl'),
    ('test', ['--dump', 'no/all.pkl'], 'error: --dump no/all.pkl cannot be written'),
    ('test', ['--show-dir', 'tiny.py'], 'error: --show-dir tiny.py can be no folder'),
    ('train', ['--auto-scale-lr', '--cfg-options', 'auto_scale_lr=None'], 'tiny.py does not say which batch size')])
def test_options_that_cannot_be(tiny_clip, here, capfd, name, options, said):
    assert run(name, write_config(here, tiny_clip), *options) == 2
    assert said in capfd.readouterr().err and {path.name for path in here.iterdir()} == {'tiny.py'}


@pytest.mark.parametrize('options, parts', [
    (['--cfg-options', 'model.neck.type=CrossModalAdaptor'], ['model.neck.type', "'CrossModalAdapter'"]),
    (['--cfg-options', 'modle.precision=bf16'], ["no 'modle'", "'model'"]),
    (['--cfg-options', 'model.neck.bottleneck_dim=0'], ['bottleneck_dim=0']),
    (['--cfg-options', 'model.neck.shared_dim=900'], ['shared_dim=900']),
    (['--cfg-options', 'pretrained=/no/such/folder'], ['/no/such/folder']),
    (['--cfg-options', 'train_dataloader.dataset.broken=3'], ['clip3.mp4: not a video.']),
    (['--cfg-options', 'train_dataloader.dataset.broken=3', 'train_dataloader.num_workers=1'],
     ['clip3.mp4: not a video.']),
    (['--resume', 'no.pth'], ['no.pth', 'does not exist']),
    (['--launcher', 'pytorch'], ['RANK', 'dist_train.sh']),
])
def test_bad_input_gets_one_line_and_leaves_nothing(tiny_clip, here, capfd, monkeypatch, options, parts):
    monkeypatch.delenv('RANK', raising=False)
    assert run('train', write_config(here, tiny_clip), '--work-dir', 'runs/a', *options) == 2
    line, = (line for line in capfd.readouterr().err.splitlines() if line.startswith('error:'))
    assert all(part in line for part in parts), line
    assert {path.name for path in here.iterdir()} == {'tiny.py'}


def test_a_missing_data_folder_leaves_nothing(tiny_clip, here, capfd):
    """The data set of the package: its files are looked for when it is built."""
    missing = "train_dataloader['dataset'] = dict(type='MSVD', split='train', data_root='/no/data')"
    assert run('train', write_config(here, tiny_clip, extra=missing), '--work-dir', 'runs/a') == 2
    assert "error: data_root '/no/data' is not a folder; MSVD train expects" in capfd.readouterr().err
    assert {path.name for path in here.iterdir()} == {'tiny.py'}


def test_a_run_that_fails_late_keeps_what_it_has(tiny_clip, here, capfd):
    config = write_config(here, tiny_clip)
    assert run('train', config, '--work-dir', 'a', '--cfg-options', 'val_dataloader.dataset.broken=1') == 2
    assert 'error: clip1.mp4: not a video.' in capfd.readouterr().err
    assert Path('a/epoch_1.pth').is_file()


def test_an_adapter_for_another_backbone_is_refused(tiny_clip, here, capfd):
    assert run('train', write_config(here, tiny_clip, epochs=1), '--work-dir', 'a') == 0
    other = here / 'other'
    other.mkdir()
    config = write_config(here, write_clip(other, seed=9))
    assert run('test', config, 'a/best.pth', '--work-dir', 'b') == 2
    error = capfd.readouterr().err
    assert 'was trained on backbone' in error and 'allow_other_backbone=True' in error
    assert not Path('b').exists()
    allowed = ['--cfg-options', 'custom_hooks.0.allow_other_backbone=True']
    assert run('test', config, 'a/best.pth', '--work-dir', 'b', *allowed) == 0


#: Where a run of 3 epochs is killed: name of the method that kills, and which of its calls.
KILLS = {
    'in the first epoch': ('before_train_iter', 3),
    'in the second epoch': ('before_train_iter', 6),
    'while a checkpoint is written': ('replace epoch_2.pth', 1),
    'between the checkpoint and its validation': ('before_val_epoch', 2),
    'while the best is written': ('replace best_', 2),
    'in the last validation': ('before_val_iter', 8),
    'before the report': ('after_train', 1),
}

#: The mean rank becomes better with every epoch, so that there is a best checkpoint to replace.
REPORTED = """
default_hooks.update(checkpoint=dict(save_best='t2v/MnR', rule='less'))
custom_hooks = [dict(type='FrozenParameterHook'), dict(type='BestCheckpointHook'), dict(type='ResumeHook'),
                dict(type='RetrievalReportHook', num_hardest=1, num_panels=0)]
"""


def train_until(arguments: list, kill: tuple, log: str) -> None:
    """Runs tools/train.py and kills it; the body of a process."""
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
    os.dup2(1, 2)
    torch.set_num_threads(1)
    if kill is not None:
        arm(*kill)
    sys.exit(run('train', *arguments))


def arm(point: str, count: int) -> None:
    left = [count]

    def die_at_last() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    if point.startswith('replace '):
        replace = os.replace

        def replace_or_die(source, target):
            if Path(target).name.startswith(point.removeprefix('replace ')):
                die_at_last()
            replace(source, target)
        os.replace = replace_or_die
    else:
        from mmengine.runner import Runner
        call_hook = Runner.call_hook

        def call_hook_or_die(self, name, **kwargs):
            # Testing zero-shot before training also calls hooks, but not these.
            if name == point:
                die_at_last()
            call_hook(self, name, **kwargs)
        Runner.call_hook = call_hook_or_die


def start(config: Path, work: Path, *options, kill=None) -> int:
    arguments = [str(config), '--work-dir', str(work), *options]
    process = context.Process(target=train_until, args=(arguments, kill, f'{work}.log'))
    process.start()
    process.join(120)
    return process.exitcode


def outcome(work: Path) -> tuple:
    last, best = (torch.load(work / name, weights_only=False) for name in ('epoch_3.pth', 'best.pth'))
    report = json.loads((work / 'report.json').read_text())
    return last['state_dict'], best['state_dict'], best['meta']['epoch'], report['results']


@pytest.fixture(scope='module')
def unbroken(tiny_clip, tmp_path_factory) -> tuple:
    folder = tmp_path_factory.mktemp('unbroken')
    config = write_config(folder, tiny_clip, epochs=3, extra=REPORTED)
    assert start(config, folder / 'work') == 0, Path(f'{folder}/work.log').read_text()[-3000:]
    return config, outcome(folder / 'work')


@pytest.mark.slow
@pytest.mark.parametrize('kill', KILLS.values(), ids=list(KILLS))
def test_a_killed_run_resumes_to_the_same_end(unbroken, tmp_path, kill):
    config, expected = unbroken
    work = tmp_path / 'work'
    assert start(config, work, kill=kill) == -signal.SIGKILL
    assert start(config, work, '--resume') == 0, Path(f'{work}.log').read_text()[-3000:]
    found = outcome(work)
    for ours, theirs in zip(found[:2], expected[:2]):
        assert ours.keys() == theirs.keys()
        for name in theirs:
            assert torch.equal(ours[name], theirs[name]), name
    assert found[2:] == expected[2:]


BY_ITERATION = """
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=9, val_interval=3)
train_dataloader.update(sampler=dict(type='InfiniteSampler'))
default_hooks.update(checkpoint=dict(by_epoch=False, interval=3, save_best='t2v/MnR', rule='less'))
log_processor = dict(by_epoch=False)
"""


@pytest.mark.slow
@pytest.mark.parametrize('kill', [('before_train_iter', 5), ('before_val_epoch', 2)])
def test_a_killed_run_by_iteration_resumes_to_the_same_end(tiny_clip, tmp_path, kill):
    config = write_config(tmp_path, tiny_clip, extra=BY_ITERATION)
    assert start(config, tmp_path / 'unbroken') == 0
    assert start(config, tmp_path / 'killed', kill=kill) == -signal.SIGKILL
    assert start(config, tmp_path / 'killed', '--resume') == 0
    for name in ('iter_9.pth', 'best.pth'):
        expected, found = (torch.load(tmp_path / work / name, weights_only=False)
                           for work in ('unbroken', 'killed'))
        assert found['meta']['iter'] == expected['meta']['iter']
        for key, tensor in expected['state_dict'].items():
            assert torch.equal(found['state_dict'][key], tensor), key


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh'])
def test_scripts_say_how_they_are_used(script):
    shown = subprocess.run(['bash', TOOLS / script], capture_output=True, text=True)
    assert shown.returncode == 2
    assert shown.stderr.startswith('usage: ')


@pytest.mark.parametrize('checkpoint', [['a best.pth'], []], ids=['adapted', 'zero-shot'])
def test_what_dist_test_starts(tmp_path, checkpoint):
    python = tmp_path / 'python'
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)
    words = ['bash', TOOLS / 'dist_test.sh', 'a config.py', *checkpoint, '2', '--out', 'm.json']
    run = subprocess.run(words, env=dict(os.environ, PYTHON=str(python)), check=True, capture_output=True, text=True)
    shown = run.stdout.splitlines()
    assert '--nproc_per_node=2' in shown
    assert shown[shown.index(str(TOOLS / 'test.py')) + 1:] == [
        'a config.py', *checkpoint, '--out', 'm.json', '--launcher', 'pytorch']


def test_slurm_gets_the_whole_command(tmp_path):
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    srun.chmod(0o755)
    environment = dict(os.environ, PATH=f'{tmp_path}:{os.environ["PATH"]}', GPUS='4',
                       SRUN_ARGS='--time=1 --mem=2G')
    words = ['bash', TOOLS / 'slurm_train.sh', 'part', 'job', 'a config.py', 'dir', '--seed', '1']
    run = subprocess.run(words, env=environment, check=True, capture_output=True, text=True)
    shown = run.stdout.splitlines()
    assert {'--partition=part', '--ntasks=4', '--gres=gpu:4', '--time=1', '--mem=2G'} <= set(shown)
    assert shown[-8:] == [str(TOOLS / 'train.py'), 'a config.py', '--work-dir', 'dir', '--launcher', 'slurm',
                          '--seed', '1']
