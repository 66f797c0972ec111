"""mmcma export and mmcma info."""
import argparse
import json

import pytest
from helpers.checkpoints import retrieval_config, trained_checkpoint

from mmcma.apis import init_model
from mmcma.cli import export, info
from mmcma.utils.errors import WeightsError


def run(command, *arguments) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    command.run(parser.parse_args([str(argument) for argument in arguments]))


@pytest.fixture
def files(tiny_clip, tmp_path):
    """A config, a checkpoint of it, and a folder to write to."""
    config = retrieval_config(tiny_clip)
    (tmp_path / 'config.py').write_text(config.pretty_text)
    return tmp_path / 'config.py', trained_checkpoint(tmp_path, config), tmp_path / 'cma'


def test_export_takes_the_report_of_its_checkpoint_only(files, capsys):
    config, checkpoint, folder = files
    keys = [f'{direction}/{key}' for direction in ('t2v', 'v2t') for key in ('R@1', 'R@5', 'R@10', 'MdR', 'MnR')]
    fingerprint = init_model(config, device='cpu').backbone_fingerprint()
    report = dict(dataset='Own', split='', checkpoint='best.pth', backbone=dict(fingerprint=fingerprint),
                  results=dict(adapted={key: 12.0 for key in keys}), num_captions=5,
                  protocols=dict(t2v='every_caption', v2t='best_caption'), gallery=dict(present=5, expected=5))
    beside = checkpoint.with_name('report.json')
    beside.write_text(json.dumps(report))
    run(export, config, checkpoint, folder)
    said = capsys.readouterr().out
    assert 'CrossModalAdapter' in said and f'metrics from {beside}' in said
    assert '| adapted | text to visual | 12.0 |' in (folder / 'README.md').read_text()
    beside.write_text(json.dumps(dict(report, checkpoint='epoch_3.pth')))
    run(export, config, checkpoint, folder.with_name('other'))
    assert 'no metrics in the card' in capsys.readouterr().out


def test_info_tells_the_same_of_folder_and_checkpoint(files, capsys, tiny_clip):
    config, checkpoint, folder = files
    run(export, config, checkpoint, folder)
    capsys.readouterr()
    told = {}
    for source in (folder, checkpoint, config, 'tiny'):
        run(info, source)
        told[source] = dict(line.split('  ', 1) for line in capsys.readouterr().out.splitlines())
        told[source] = {key: value.strip() for key, value in told[source].items()}
    assert told[folder]['base model'] == tiny_clip and told[folder]['method'] == 'CrossModalAdapter'
    same = ('base model', 'its fingerprint', 'method', 'options', 'similarity', 'frames', 'trained')
    assert {key: told[folder][key] for key in same} == {key: told[checkpoint][key] for key in same}
    assert told[config]['options'] == 'bottleneck_dim=4, shared_dim=8' and 'trained' not in told[config]
    assert told['tiny']['method'] == 'none (zero-shot)' and 'num_frames=8' in told['tiny']['frames']


def test_the_wrong_config_is_one_clear_error(files, tmp_path, tiny_clip):
    _, checkpoint, folder = files
    other = tmp_path / 'other.py'
    other.write_text(retrieval_config(tiny_clip, neck=dict(type='LoRA', r=2)).pretty_text)
    with pytest.raises(WeightsError, match='does not hold what this model trains.*Use the config'):
        run(export, other, checkpoint, folder)
    assert not folder.exists()
