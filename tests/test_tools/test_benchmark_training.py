"""The benchmark command: what it compares must agree, what it counts must be right. No time decides anything here."""
import argparse
import json
import os
import signal
import subprocess
import sys
from fractions import Fraction
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.media import write_video
from torch.utils.flop_counter import FlopCounterMode

from mmcma.utils.errors import DataError, UserError

TOOLS = Path(__file__).parents[2] / 'tools' / 'analysis_tools'
JOB = argparse.Namespace(backbone='vit-b32', batch=4, frames=3, words=16, tiny=True, official=None)


@pytest.fixture(scope='module')
def job(tmp_path_factory) -> Path:
    from benchmarks.steps import write_job
    folder = tmp_path_factory.mktemp('job')
    write_job(folder, JOB)
    return folder


@pytest.fixture
def one_process(monkeypatch):
    """What else lives in processes of its own is made in this one."""
    class Here:
        def __init__(self, factory, *args, **kwargs):
            self.call = lambda method, *rest: getattr(self._own, method)(*rest)
            self._own = factory(*args, **kwargs)

        def __enter__(self):
            return self

        def __exit__(self, *exc_info):
            pass

    monkeypatch.setattr('benchmarks.training.IsolatedProcess', Here)


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Runs a sub-command in smallest sizes; what it saved, by its key."""
    def run(*arguments) -> dict:
        import benchmark
        out = tmp_path / 'out.json'
        monkeypatch.setattr(sys, 'argv', ['benchmark.py', *map(str, arguments), '--tiny', '--out', str(out)])
        benchmark.main()
        return json.loads(out.read_text())
    return run


# ---- several variants side by side ----

def test_variants_take_turns_and_every_other_round_goes_backwards():
    from benchmarks.core import race
    calls = []
    variants = {name: lambda name=name: calls.append(name) or float(len(calls)) for name in 'abc'}
    assert race(variants, rounds=2) == {'a': [4.0, 9.0], 'b': [5.0, 8.0], 'c': [6.0, 7.0]}
    assert ''.join(calls) == 'cba' + 'abc' + 'cba'


def test_ratios_are_taken_within_a_round():
    from benchmarks.core import summarise
    found = summarise(dict(theirs=[2.0, 30.0, 4.0], ours=[1.0, 10.0, 1.0]), 'theirs')
    assert found['ours']['times_as_fast'] == dict(median=3.0, min=2.0, max=4.0)
    assert found['ours']['seconds'] == dict(median=1.0, min=1.0, max=10.0)
    assert found['theirs']['times_as_fast']['median'] == 1.0


def test_agreement_is_the_relative_error():
    from benchmarks.core import agree
    expected, found = torch.tensor([3.0, 4.0]), np.array([3.0, 4.5])
    assert agree(found, expected, tolerance=0.11, what='x') == pytest.approx(0.1)
    with pytest.raises(DataError, match='x is off by 0.1, more than 0.01'):
        agree(found, expected, tolerance=0.01, what='x')
    with pytest.raises(DataError, match='off by nan'):
        agree(torch.tensor([3.0, float('nan')]), expected, tolerance=1, what='x')
    with pytest.raises(DataError, match=r'x is \(1,\), not \(2,\)'):
        agree(found[:1], expected, tolerance=1, what='x')


def test_an_object_in_a_process_of_its_own():
    from benchmarks.core import IsolatedProcess
    with IsolatedProcess(Fraction, 355, 113) as fraction:
        assert fraction.call('limit_denominator', 10) == Fraction(22, 7)
        with pytest.raises(ValueError, match='max_denominator'):
            fraction.call('limit_denominator', 0)
    with pytest.raises(ZeroDivisionError):
        IsolatedProcess(Fraction, 1, 0)


def test_a_killed_process_is_one_line():
    from benchmarks.core import IsolatedProcess
    killed = pytest.raises(UserError, match='killed.* fewer --variants')
    with IsolatedProcess(import_module, 'signal') as signals, killed:
        signals.call('raise_signal', signal.SIGKILL)


# ---- training steps ----

@pytest.mark.slow
def test_every_variant_has_the_loss_and_the_gradient_of_the_first(job):
    from benchmarks.steps import step_of_variant
    from benchmarks.training import compare
    names = ['float32', 'bf16', 'bf16-checkpointed', 'bf16-micro', 'full-bf16']
    firsts = {name: step_of_variant(job, name, 'tiny').first() for name in names}
    errors = compare(firsts)
    assert list(errors) == names[:-1] and errors['float32'] == dict(loss=0, gradient=0)
    assert 0 < errors['bf16']['gradient'] == pytest.approx(errors['bf16-micro']['gradient'], rel=0.2)
    loss, gradients = firsts['float32']
    assert len(gradients) == 2 * 2 * (2 * 2 + 1) * 2  # layers, sites, projections, weight and bias
    firsts['bf16'] = loss, {name: 1.2 * gradient for name, gradient in gradients.items()}
    with pytest.raises(DataError, match='bf16: gradient is off by 0.2'):
        compare(firsts)


def test_first_step_gives_the_gradient_that_the_optimizer_gets(job):
    from benchmarks.steps import step_of_variant
    step = step_of_variant(job, 'float32', 'tiny')
    before = {name: p.detach().clone() for name, p in step.model.named_parameters() if p.requires_grad}
    _, gradients = step.first()
    norm = np.sqrt(sum((gradient ** 2).sum() for gradient in gradients.values()))
    assert gradients.keys() == before.keys() and 0 < norm < 1.001  # clipped at 1
    assert any(not torch.equal(p, before[name]) for name, p in step.model.named_parameters() if name in before)
    assert step.weight_bytes() == sum(p.numel() * p.element_size() for p in step.model.parameters())


def test_peak_memory_is_that_of_one_piece_of_work():
    from benchmarks.core import Workload

    class Allocation(Workload):
        def __init__(self) -> None:
            self.ready()

        def work(self) -> None:
            torch.ones(self.size)

    workload = Allocation()
    for workload.size, least, most in ((2 ** 24, 60, 90), (2 ** 22, 12, 40)):  # 64 and 16 MiB
        cost = workload.measure()
        assert least < cost.peak_bytes / 2 ** 20 < most and cost.process_bytes > cost.peak_bytes


@pytest.mark.skipif('MMCMA_OFFICIAL' not in os.environ, reason='MMCMA_OFFICIAL names no checkout of the released code')
def test_the_released_code_computes_the_same(job):
    from benchmarks.training import compare, open_step
    args = argparse.Namespace(**{**vars(JOB), 'official':Path(os.environ['MMCMA_OFFICIAL'])})
    firsts = {}
    for name in ('released', 'float32'):
        with open_step(name, job, args) as step:
            firsts[name] = step.call('first')
    assert compare(firsts)['float32']['gradient'] < 1e-5


def test_no_released_code(tmp_path):
    from benchmarks.released import make_importable
    with pytest.raises(DataError, match='no checkout of https://github.com/LeapLabTHU/Cross-Modal-Adapter'):
        make_importable(tmp_path)
    assert str(tmp_path) not in sys.path


def test_what_the_released_code_is_fed(job):
    from benchmarks.released_step import model_inputs
    from benchmarks.steps import read_batch
    token_ids, segments, mask, video, frame_mask = model_inputs(job)
    assert token_ids.shape == segments.shape == mask.shape == (4, 16) and frame_mask.shape == (4, 3)
    assert mask.sum(dim=1).tolist() == [16, 15, 14, 13] and (token_ids[mask == 0] == 0).all()
    assert (token_ids.argmax(dim=1) == mask.sum(dim=1) - 1).all()  # it pools where the largest id is: the end token
    assert video.shape == (4, 1, 3, 1, 3, 32, 32) and read_batch(job)['frames'].dtype == torch.uint8


def test_names_of_the_released_code_are_those_of_the_converter(job):
    from to_hf import fill, to_openai
    from transformers import CLIPModel
    model = CLIPModel.from_pretrained(job / 'clip')
    other = CLIPModel(model.config)
    fill(other, to_openai(model.state_dict()))
    assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in model.state_dict().items())


# ---- operations ----

def test_operations_of_a_tower_by_hand():
    """Width 2, one layer, three tokens, bottleneck 1: 24 d^2 s = 288 for weights, 4 s^2 d = 72 for attention."""
    from benchmarks.flops import _layers
    assert _layers(2, 1, 3, full=True, bottleneck=1) == 3 * 288 + 3 * 72
    # Feed-forward part forth and back: 2 * 192; attention branch forth: 96 + 72; adapters: four products of 12 thrice,
    # but the first has no gradient of its input.
    assert _layers(2, 1, 3, full=False, bottleneck=1) == 2 * 192 + 96 + 72 + 3 * 4 * 12 - 12


@pytest.mark.parametrize('name', ['float32', 'full-float32'])
def test_operations_are_those_that_pytorch_counts(job, name, monkeypatch):
    """With attention as plain products; what differs is the similarity, which is left out."""
    from benchmarks.flops import clip_flops
    from benchmarks.steps import step_of_variant
    from benchmarks.variants import VARIANTS
    for tower in ('vision', 'text'):
        monkeypatch.setitem(VARIANTS[name].options, f'model.{tower}_backbone.attn_implementation', 'eager')
    step = step_of_variant(job, name, 'tiny')
    with FlopCounterMode(display=False) as counter:
        step.work()
    expected = 4 * clip_flops('tiny', frames=3, words=16, full=name.startswith('full'))
    assert expected <= counter.get_total_flops() <= 1.001 * expected


# ---- the command ----

def test_help_imports_nothing_heavy():
    code = ('import sys, runpy; sys.argv = ["benchmark.py", "train", "--help"]\n'
            f'try: runpy.run_path({str(TOOLS / "benchmark.py")!r}, run_name="__main__")\n'
            'except SystemExit as end: assert end.code == 0\n'
            'assert not {"torch", "mmengine", "transformers"} & sys.modules.keys()')
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(TOOLS.parents[1]), str(TOOLS)]))
    shown = subprocess.run([sys.executable, '-c', code], env=environment, check=True, capture_output=True)
    assert b'--official' in shown.stdout


def test_train(command, one_process, capsys):
    found = command('train', '--batch', 4, '--frames', 2, '--rounds', 2, '--variants', 'bf16', 'full-bf16')
    entry = found['train tiny, 4 x 2 frames']
    assert len(entry['ways']['bf16']['raw_seconds']) == 2 and entry['share_of_full_fine_tuning'].keys() == {'bf16'}
    assert entry['settings']['batch'] == 4 and not entry['with_released_code'] and entry['machine']['torch']
    assert 'times as fast as bf16' in capsys.readouterr().out


def test_memory(command, one_process, capsys):
    found = command('memory', '--batch', 4, '--frames', 2, '--variants', 'float32', 'bf16-micro')
    variants = found['memory tiny, 4 x 2 frames']['ways']
    assert variants['float32']['share'] == 1
    assert variants['bf16-micro']['weight_bytes'] <= variants['float32']['weight_bytes']
    assert 'share of float32' in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason='falls back to smallest sizes where there is no GPU')
def test_gpu_without_one(command, one_process, tmp_path, capsys, monkeypatch):
    from benchmarks import data
    monkeypatch.setattr(data, 'STEPS', [data.STEPS[0], dict(type='ResizeCrop', size=32)])
    monkeypatch.setattr(os, 'cpu_count', lambda: 2)
    for number in range(3):
        write_video(tmp_path / 'clips' / f'{number}.mp4', num_frames=20, fps=10)
    found = command('gpu', '--rounds', 8, '--clips', tmp_path / 'clips', '--variants', 'bf16', 'full-bf16')
    entry = found['gpu tiny, 2 x 2 frames']
    ours = entry['ways']['bf16']
    assert ours['batch'] == 2 and ours['share_of_peak'] == pytest.approx(
        ours['clips_per_second'] * ours['flops_a_clip'] / entry['peak_flops'])
    assert entry['ways']['full-bf16']['flops_a_clip'] > ours['flops_a_clip']
    assert entry['input_pipeline']['clips'] == 24 and 'input pipeline' in capsys.readouterr().out


def test_a_variant_that_does_not_fit_gets_half_the_batch(monkeypatch):
    from contextlib import contextmanager

    from benchmarks import gpu
    from benchmarks.core import Cost

    @contextmanager
    def one_step(name, args, batch):
        def call(method):
            if batch > 8:
                raise torch.OutOfMemoryError
            return Cost(0.5, 7, 9)
        yield argparse.Namespace(call=call)

    monkeypatch.setattr(gpu, 'one_step', one_step)
    found = gpu.measure('bf16', argparse.Namespace(**{**vars(JOB), 'batch': 32, 'rounds': 1}), 1e12)
    assert found['batch'] == 8 and found['clips_per_second'] == 16 and found['peak_bytes'] == 7
