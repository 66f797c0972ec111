"""What the tools share."""
import argparse
import os

from mmcma.cli.arguments import add_config_options, add_worker_arguments, items_bar


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
