"""The campaign of hostile files: nothing runs, and what it brings would."""
import pickle
import sys

import pytest
import stress
import torch
from campaigns import Verdict, _payloads, files
from mmengine.config import Config

from mmcma.checkpoints.torchscript import read_torchscript


@pytest.mark.filterwarnings('ignore:`torch.jit:FutureWarning', 'ignore:`torch.jit:DeprecationWarning')
def test_nothing_of_a_strangers_file_runs(monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', ['stress.py', 'files', '--trials', '70', '--seed', '3'])
    stress.main()
    said = capsys.readouterr().out
    assert 'kind files  trials 70  seed 3' in said and 'wrong 0  crashed 0' in said


def test_the_payloads_run_where_nothing_holds_them(tmp_path, monkeypatch):
    calls = _payloads.calls(tmp_path / 'it_ran')
    for name in calls.keys() - {'getattr'}:  # that one names a function and does not call it
        content = pickle.dumps(_payloads.calls(tmp_path / name)[name])
        pickle.loads(content)
        assert (tmp_path / name).is_dir(), name
    monkeypatch.syspath_prepend(tmp_path)
    for number, name in enumerate(_payloads.programs(tmp_path)):
        mark = tmp_path / str(number)
        _payloads.write_module(tmp_path, mark)
        Config.fromstring(_payloads.programs(mark)[name], '.py')
        assert mark.is_dir(), name
    sys.modules.pop(_payloads.MODULE, None)


@pytest.mark.filterwarnings('ignore:`torch.jit:FutureWarning', 'ignore:`torch.jit:DeprecationWarning')
def test_the_program_of_an_archive_runs_where_it_is_loaded_and_not_where_its_tensors_are_read(tmp_path):
    file, mark = tmp_path / 'a.pt', tmp_path / 'it_ran'
    torch.jit.script(_payloads.Writes(str(mark))).save(file)
    assert read_torchscript(file) == {} and not mark.exists()
    torch.jit.load(file)
    assert mark.exists()


def test_a_reader_that_runs_what_it_reads_is_found_out(tmp_path, monkeypatch):
    monkeypatch.setattr(files, '_pickles', lambda: [('pickle', lambda trial, mark, generator: (
        'mkdir', lambda: pickle.loads(pickle.dumps(_payloads.calls(mark)['mkdir']))))])
    for others in ('_programs', 'hostile.folders', 'hostile.galleries', 'hostile.data'):
        owner, _, name = others.rpartition('.')
        monkeypatch.setattr(getattr(files, owner) if owner else files, name, lambda *_: [])
    assert [outcome.verdict for outcome in files.trials(2, 0, tmp_path)] == [Verdict.WRONG] * 2
