"""What the tools share."""
import argparse
import os
import signal
import subprocess
import sys

import pytest

from mmcma.cli.arguments import add_config_options, add_worker_arguments, items_bar, run_tool


def test_shared_arguments():
    parser = argparse.ArgumentParser()
    add_config_options(parser)
    add_worker_arguments(parser, timeout=120)
    args = parser.parse_args([])
    assert (args.cfg_options, args.workers, args.timeout) == ([], os.cpu_count(), 120)
    args = parser.parse_args('--cfg-options a=1 b.c=2 --workers 3 --timeout 0.5'.split())
    assert (args.cfg_options, args.workers, args.timeout) == (['a=1', 'b.c=2'], 3, 0.5)
    assert 'has failed (default: 120)' in ' '.join(parser.format_help().split())


def test_the_bar_says_how_far_it_is(capsys):
    with items_bar('decoding') as show:
        for done in range(1, 4):
            show(done, 7, done // 2)
    output, errors = capsys.readouterr()
    assert output == '' and errors.startswith('decoding') and '3/7' in errors and '1 failed' in errors
    assert 'items/s' in errors


def test_a_bar_of_one_step_gives_no_rate(capsys):
    with items_bar('encoding') as show:
        show(50, 50, 0)
    errors = capsys.readouterr().err
    assert '50/50' in errors and 'items/s' not in errors


def test_a_bar_that_shows_nothing_yet_is_not_there(capsys):
    with items_bar('decoding'):
        pass
    assert capsys.readouterr() == ('', '')


def test_a_file_that_cannot_be_opened_is_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit, match='2'):
        run_tool(lambda: (tmp_path / 'absent').read_text())
    assert capsys.readouterr().err == f'error: {tmp_path}/absent: No such file or directory\n'


def test_an_error_of_the_machine_that_names_no_file_is_raised():
    def work():
        raise OSError('the bus is wet')
    with pytest.raises(OSError, match='wet'):
        run_tool(work)


@pytest.mark.parametrize('run', ['run_tool(work)', "sys.modules['mmcma.cli.info'].run = work; main(['info', 'tiny'])",
                                 "sys.modules['mmcma.cli.train'].run = work; main(['train', 'a.py'])"])
def test_an_interruption_is_one_line_and_exit_code_130(run):
    script = ('import sys, time\n'
              'from mmcma.cli import info, train\n'
              'from mmcma.cli.arguments import run_tool\n'
              'from mmcma.cli.main import main\n'
              'def work(*_):\n'
              '    print("working", flush=True)\n'
              '    time.sleep(60)\n' + run)
    pipe = subprocess.PIPE
    # A shell's background job ignores the signal, and its children do.
    process = subprocess.Popen([sys.executable, '-c', script], stdout=pipe, stderr=pipe, text=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    assert process.stdout.readline() == 'working\n'
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30) == ('', 'interrupted\n') and process.returncode == 130
