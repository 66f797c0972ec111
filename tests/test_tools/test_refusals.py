"""What is wrong on the command line of a tool is one line that names it, and exit code 2."""
import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.tiny_run import write_config

TOOLS = Path(__file__).parents[2] / 'tools'


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys, tiny_clip):
    """Runs a tool in a folder of files that it cannot use; gives its one line."""
    monkeypatch.chdir(tmp_path)
    write_config(tmp_path, tiny_clip)
    Path('empty.py').touch()
    Path('file').write_text('{')
    torch.save({}, 'empty.pth')
    for run, line in (('cut', '{"loss": 1,'), ('list', '[1]')):
        (tmp_path / run / '1' / 'vis_data').mkdir(parents=True)
        (tmp_path / run / '1' / 'vis_data' / 'scalars.json').write_text(line)
    (tmp_path / 'cut' / 'cma_vit-b32_didemo').mkdir()
    (tmp_path / 'cut' / 'cma_vit-b32_didemo' / 'report.json').write_text(json.dumps({'results': {}}))
    Path('model').mkdir()
    Path('model/config.json').touch()
    Path('open_clip').mkdir()
    Path('open_clip/open_clip_model.safetensors').touch()
    Path('open_clip/open_clip_config.json').write_text('{')
    before = sorted(tmp_path.rglob('*'))

    def call(tool: str, *args: str) -> str:
        monkeypatch.setattr(sys, 'argv', [tool, *args])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(TOOLS / tool), run_name='__main__')
        output, errors = capsys.readouterr()
        assert end.value.code == 2 and errors.startswith('error: ') and errors.count('\n') == 1 and not output, errors
        assert sorted(tmp_path.rglob('*')) == before
        return errors
    return call


@pytest.mark.parametrize('script, message', [
    ('dist_train.sh a.py x', "'x' is no number of processes"), ('dist_test.sh a.py b.pth 0', "'0' is no number"),
    ('dist_test.sh a.py b.pth', "'' is no number"), ('reproduce_paper.sh text-video x', 'usage: '),
    ('reproduce_paper.sh nonsense 1', "--configs 'nonsense' is none of"), ('slurm_train.sh a', 'usage: ')])
def test_wrong_input_to_a_script(script, message):
    name, *args = script.split()
    done = subprocess.run(['bash', TOOLS / name, *args], capture_output=True, text=True)
    assert done.returncode == 2 and message in done.stderr and done.stderr.count('\n') == 1


CACHE, RANDOM = 'dataset_converters/cache_frames.py', 'model_converters/make_random_clip.py'
TO_HF, OFFICIAL = 'model_converters/to_hf.py', 'model_converters/official_cma.py'
TOKENIZER, BENCHMARK = 'model_converters/train_tokenizer.py', 'analysis_tools/benchmark.py'
MOMENTS, STRESS = 'analysis_tools/benchmark_moments.py', 'analysis_tools/stress.py'
BROWSE, LOGS = 'analysis_tools/browse_dataset.py', 'analysis_tools/analyze_logs.py'
TABLES = 'analysis_tools/paper_tables.py'


@pytest.mark.parametrize('tool, args, message', [
    (CACHE, 'empty.py --out new', 'empty.py has no data loader of --splits train val test'),
    (CACHE, 'tiny.py --out new --jpeg 101', '--jpeg 101 must be from 1 to 100'),
    (CACHE, 'tiny.py --out new --workers 0', '--workers 0 must be at least 1'),
    (CACHE, 'tiny.py --out file/new', '--out file/new can be no folder'),
    (RANDOM, 'tiny file', 'FOLDER file can be no folder'),
    (RANDOM, 'tiny model', 'model holds a model already'),
    (TOKENIZER, 'file', 'OUT file can be no folder'),
    (TOKENIZER, 'new --vocab-size 0', '--vocab-size 0 must be at least 514'),
    (OFFICIAL, 'empty.pth new.pth', 'empty.pth holds tensors neither as'),
    (OFFICIAL, 'file new.pth', "checkpoint 'file' cannot be read"),
    (OFFICIAL, 'empty.pth absent/new.pth', 'OUT absent/new.pth cannot be written'),
    (TO_HF, 'file new', "checkpoint 'file' cannot be read"),
    (TO_HF, 'open_clip new', 'open_clip_config.json: not JSON'),
    (TO_HF, 'empty.pth file', 'DST file can be no folder'),
    (BENCHMARK, 'similarity --rounds 0', '--rounds 0 must be at least 1'),
    (BENCHMARK, 'gallery --out file', '--out file holds no JSON to add to'),
    (BENCHMARK, 'search --gallery absent', '--gallery absent needs --queries'),
    (BENCHMARK, 'data --clips absent', '--clips absent: no videos'),
    (MOMENTS, '--seconds 5 0', '--seconds 0 must be more than 0'),
    (MOMENTS, '--overlaps 1', '--overlaps 1 must be from 0 to less than 1'),
    (MOMENTS, '--size 17', '--size 17 must be even'),
    (STRESS, 'configs --trials 0', '--trials 0 must be at least 1'),
    (STRESS, 'configs --out absent/new.json', '--out absent/new.json cannot be written'),
    (BROWSE, 'empty.py', 'empty.py has no train_dataloader'),
    (BROWSE, 'tiny.py --timeout -1', '--timeout -1.0 must be at least 0.001'),
    (BROWSE, 'tiny.py --out file', '--out file can be no folder'),
    (LOGS, 'cut', 'scalars.json, line 1: no line of a log'),
    (LOGS, 'list', 'scalars.json, line 1: no line of a log'),
    (TABLES, '--work-dirs absent', '--work-dirs absent is no folder'),
    (TABLES, '--work-dirs cut', 'cma_vit-b32_didemo/report.json: no report of a run'),
])
def test_wrong_input(refused, tool, args, message):
    assert message in refused(tool, *args.split())
