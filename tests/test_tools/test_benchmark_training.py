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
from helpers.one_process import in_this_process

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
    monkeypatch.setattr('benchmarks.training.isolated', in_this_process)


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
    from benchmarks.core import Cost, summarise
    costs = {name: [Cost(clock, clock / 2 ** number, 5, 9) for number, clock in enumerate(clocks)]
             for name, clocks in dict(theirs=[2.0, 30.0, 4.0], ours=[1.0, 10.0, 1.0]).items()}
    found = summarise(costs)
    assert found['ours']['times_as_fast'] == dict(median=3.0, min=2.0, max=4.0)
    assert found['ours']['seconds'] == dict(median=1.0, min=1.0, max=10.0)
    assert found['ours']['processor_seconds'] == dict(median=1.0, min=0.25, max=5.0)
    assert found['theirs']['times_as_fast']['median'] == 1.0
    costs['theirs'] = [Cost(0.0, 6.0, 5, 9)] * 3
    assert summarise(costs, by='processor_seconds')['ours']['times_as_fast'] == dict(median=6.0, min=1.2, max=24.0)


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
    """What it answers, raises, and that its being killed is one line."""
    from benchmarks.core import isolated
    killed = pytest.raises(UserError, match='killed.* fewer --variants')
    with killed, isolated(import_module, 'signal') as signals:
        assert signals.call('Signals', int(signal.SIGTERM)) == signal.SIGTERM
        with pytest.raises(ValueError, match='-1 is not a valid Signals'):
            signals.call('Signals', -1)
        signals.call('raise_signal', signal.SIGKILL)
    with pytest.raises(ZeroDivisionError), isolated(Fraction, 1, 0):
        pass


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
    """64 MiB and then 16, in a process of their own as in the benchmarks: what a test left behind is not theirs."""
    code = ('import torch\n'
            'from benchmarks.core import Workload\n'
            'sizes = iter((2 ** 24, 2 ** 22))\n'
            'workload = Workload(lambda: lambda: torch.ones(next(sizes)))\n'
            'for _ in range(2):\n'
            '    cost = workload.measure()\n'
            '    print(cost.peak_bytes >> 20, cost.process_bytes > cost.peak_bytes)\n')
    answer = subprocess.run([sys.executable, '-c', code], cwd=TOOLS, capture_output=True, text=True, check=True)
    (first, more), (second, more_again) = (line.split() for line in answer.stdout.splitlines())
    assert 60 < int(first) < 90 and 12 < int(second) < 40 and more == more_again == 'True'


@pytest.mark.skipif('MMCMA_OFFICIAL' not in os.environ, reason='MMCMA_OFFICIAL names no checkout of the released code')
def test_the_released_code_computes_the_same(job):
    from benchmarks.training import compare, open_step
    args = argparse.Namespace(**{**vars(JOB), 'official':Path(os.environ['MMCMA_OFFICIAL'])})
    firsts = {}
    for name in ('released', 'float32'):
        with open_step(name, args, 4) as step:
            firsts[name] = step.call('first')
    assert compare(firsts)['float32']['gradient'] < 1e-5


def test_no_released_code(tmp_path):
    from benchmarks.released import make_importable
    with pytest.raises(DataError, match='no checkout of https://github.com/LeapLabTHU/Cross-Modal-Adapter'):
        make_importable(tmp_path)
    assert str(tmp_path) not in sys.path


def test_what_the_released_code_is_fed(job):
    from benchmarks.released import model_inputs
    from benchmarks.steps import read_batch
    token_ids, segments, mask, video, frame_mask = model_inputs(job)
    assert token_ids.shape == segments.shape == mask.shape == (4, 16) and frame_mask.shape == (4, 3)
    assert mask.sum(dim=1).tolist() == [16, 15, 14, 13] and (token_ids[mask == 0] == 0).all()
    assert (token_ids.argmax(dim=1) == mask.sum(dim=1) - 1).all()  # it pools where the largest id is: the end token
    assert video.shape == (4, 1, 3, 1, 3, 32, 32) and read_batch(job)['frames'].dtype == torch.uint8


def test_names_of_the_released_code_are_those_of_the_converter(job):
    from benchmarks.released import to_openai
    from to_hf import fill
    from transformers import CLIPModel
    model = CLIPModel.from_pretrained(job / 'clip')
    other = CLIPModel(model.config)
    fill(other, to_openai(model.state_dict()))
    assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in model.state_dict().items())


# ---- operations ----

def clip_flops(full: bool) -> int:
    """Products of a step of the tiny CLIP on a clip of 3 frames and a caption of 16 tokens, counted by hand.

    A layer of width d takes 24 d^2 a token for its weights and 4 s d for attention. The backward pass of a frozen
    weight is its input's gradient alone; attention and adapters take twice the forward pass. Before the first adapter
    there is none: the patch embedding and the first layer's attention, nor has that adapter's input one.
    """
    from make_random_clip import SIZES
    image, patch, width, layers, _, text_width, text_layers, _, joint, _ = SIZES['tiny']
    patches = (image // patch) ** 2

    def tower(width: int, layers: int, tokens: int) -> int:
        weights, attention, product = 24 * width**2 * tokens, 4 * tokens**2 * width, 2 * 8 * width * tokens
        if full:
            return layers * 3 * (weights + attention)
        before_first_adapter = 8 * width**2 * tokens + 2 * attention + product
        return layers * (2 * weights + 3 * attention + 3 * 4 * product) - before_first_adapter

    embedding = 3 * 2 * 3 * patch**2 * width * patches * (2 if full else 1)
    projections = (3 * 2 * width * joint + 2 * text_width * joint) * (3 if full else 2)
    return embedding + projections + 3 * tower(width, layers, patches + 1) + tower(text_width, text_layers, 16)


@pytest.mark.parametrize('full', [False, True])
def test_operations_of_a_step_are_those_by_hand(full, one_process):
    """What differs is the similarity, which is left out by hand."""
    from benchmarks.training import clip_flops as counted
    expected = clip_flops(full)
    assert expected <= counted(JOB, full) <= 1.001 * expected


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
    assert len(entry['ways']['bf16']['raw_seconds']) == 2
    assert entry['settings']['batch'] == 4 and not entry['with_released_code'] and entry['machine']['torch']
    assert 'times bf16' in ' '.join(capsys.readouterr().out.split())


def test_memory(command, one_process, capsys):
    found = command('memory', '--batch', 4, '--frames', 2, '--variants', 'float32', 'bf16-micro')
    variants = found['memory tiny, 4 x 2 frames']['ways']
    assert variants['float32']['share'] == 1
    assert variants['bf16-micro']['weight_mib'] <= variants['float32']['weight_mib']
    assert 'share' in capsys.readouterr().out


def test_methods(command, capsys):
    """A method's operations are those of its step by hand, whatever methods were on the same towers before."""
    found = command('methods', '--frames', 3, '--words', 16, '--variants', 'cma', 'lora', 'cma')['methods tiny']['ways']
    assert list(found) == ['cma', 'lora'] and found['lora']['trained'] == 12_288
    assert clip_flops(full=False) == pytest.approx(1e9 * found['cma']['gflops_a_clip'], rel=1e-3)
    assert 'GFLOP' in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason='falls back to smallest sizes where there is no GPU')
def test_gpu_without_one(command, one_process, capsys):
    found = command('gpu', '--rounds', 2, '--peak-tflops', 0.5, '--variants', 'bf16', 'full-bf16')
    entry = found['gpu tiny, 2 x 2 frames']
    ours = entry['ways']['bf16']
    assert ours['batch'] == 2 and ours['share_of_peak'] == pytest.approx(
        ours['clips_per_second'] * ours['flops_a_clip'] / 0.5e12)
    assert entry['ways']['full-bf16']['flops_a_clip'] > ours['flops_a_clip']
    assert 'no GPU' in capsys.readouterr().out


def test_a_variant_that_does_not_fit_gets_half_the_batch(monkeypatch):
    from contextlib import contextmanager

    from benchmarks import training
    from benchmarks.core import Cost

    @contextmanager
    def open_step(name, args, batch):
        def call(method):
            if batch > 8:
                raise torch.OutOfMemoryError
            return Cost(0.5, 0.5, 2 ** 20, 9) if method == 'measure' else 2 ** 21
        yield argparse.Namespace(call=call)

    monkeypatch.setattr(training, 'open_step', open_step)
    found = training.measure('bf16', argparse.Namespace(**{**vars(JOB), 'batch': 32, 'rounds': 1}))
    assert found['batch'] == 8 and found['clips_per_second'] == 16
    assert found['peak_mib'] == 1 and found['weight_mib'] == 2
