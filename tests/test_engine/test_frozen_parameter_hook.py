import re
from pathlib import Path

import pytest
import torch
from helpers.clip import model_config, write_clip
from helpers.tiny_run import read_config
from mmengine.hooks import Hook
from mmengine.runner import Runner

import mmcma.engine  # noqa: F401
from mmcma.engine.hooks.frozen_parameter_hook import parameter_table
from mmcma.utils.errors import ConfigError, WeightsError

EMA = dict(type='EMAHook', momentum=0.5)


def log_of(runner: Runner) -> str:
    return Path(runner.log_dir, f'{runner.timestamp}.log').read_text()


def train(cfg) -> Runner:
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def hooks(cfg, *more) -> list:
    return [*cfg.custom_hooks, *more]


def test_the_table_counts_by_module(build, tiny_clip):
    model = build(model_config(tiny_clip))
    rows = {line.split()[0]: line.split() for line in parameter_table(model).splitlines() if line.strip()}
    trainable = sum(p.numel() for p in model.neck.parameters())
    total = sum(p.numel() for p in model.parameters())
    assert rows['neck'][1:4] == [f'{trainable:,}', f'{trainable:,}', '100.000']
    assert rows['vision_backbone'][2:4] == ['0', '0.000']
    assert rows['total'][1:4] == [f'{total:,}', f'{trainable:,}', f'{100 * trainable / total:.3f}']


def test_a_run_is_reported_proved_and_saved_without_what_is_frozen(tiny_clip, tmp_path):
    runner = train(read_config(tmp_path, tiny_clip))
    log = log_of(runner)
    assert 'What trains:' in log and 'vision_backbone' in log
    assert 'tensors are bit-identical to before training' in log
    for name in ('epoch_2.pth', 'best.pth'):
        checkpoint = torch.load(f'{runner.work_dir}/{name}', weights_only=False)
        assert checkpoint['state_dict'] and all(key.startswith('neck.') for key in checkpoint['state_dict'])
        assert checkpoint['meta']['cfg'] == runner.cfg.to_dict()  # data, and no program
        assert 'cfg' not in checkpoint['message_hub']['runtime_info']
        assert checkpoint['backbone'] == dict(name=runner.model.backbone_name,
                                              fingerprint=runner.model.backbone_fingerprint())


class Damage(Hook):
    """Does to the model what no part of it should."""

    def __init__(self, damage) -> None:
        self.damage = damage

    def after_train_epoch(self, runner) -> None:
        self.damage(runner.model)


def change_a_frozen_bit(model) -> None:
    with torch.no_grad():
        next(model.text_backbone.parameters()).view(-1)[0] += 1e-3


def put_a_frozen_module_in_training_mode(model) -> None:
    original = model.train
    model.train = lambda mode=True: original(mode) and model.vision_backbone.train(mode)


@pytest.mark.parametrize('damage, message', [
    (change_a_frozen_bit, r"1 frozen tensors changed in training: \['text_backbone\."),
    (put_a_frozen_module_in_training_mode, "module 'vision_backbone.* is frozen but in training mode"),
])
def test_damage_is_found_and_named(tiny_clip, tmp_path, damage, message):
    runner = Runner.from_cfg(read_config(tmp_path, tiny_clip))
    runner.register_hook(Damage(damage))
    with pytest.raises(RuntimeError, match=message):
        runner.train()


def test_a_model_without_anything_to_train_is_an_error(tiny_clip, tmp_path):
    runner = Runner.from_cfg(read_config(tmp_path, tiny_clip, **{'model.neck': None}))
    runner.optim_wrapper = runner.build_optim_wrapper(
        dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1)))
    with pytest.raises(ConfigError, match='nothing in the model is trainable'):
        runner.train()


@pytest.mark.parametrize('ema', [False, True])
def test_testing_a_checkpoint_is_quiet_and_scores_as_in_training(tiny_clip, tmp_path, ema, capsys):
    cfg = read_config(tmp_path, tiny_clip)
    cfg.custom_hooks = hooks(cfg, *[EMA] * ema)
    cfg.test_dataloader = cfg.val_dataloader
    runner = train(cfg)
    best = runner.message_hub.get_info('best_score')
    capsys.readouterr()
    cfg.load_from, cfg.experiment_name = f'{runner.work_dir}/best.pth', f'{tmp_path}-test'
    metrics = Runner.from_cfg(cfg).test()
    assert metrics['t2v/R@1'] == best
    output = ''.join(capsys.readouterr())
    assert not re.search('missing key|unexpected key', output)


def test_ema_weights_are_saved_pruned_and_resumed(tiny_clip, tmp_path):
    cfg = read_config(tmp_path, tiny_clip)
    cfg.custom_hooks = hooks(cfg, EMA)
    runner = train(cfg)
    checkpoint = torch.load(f'{runner.work_dir}/epoch_2.pth', weights_only=False)
    assert {key.removeprefix('module.') for key in checkpoint['ema_state_dict']} == {
        'steps', *checkpoint['state_dict']}
    last = dict(runner.model.named_parameters())
    name = next(iter(checkpoint['state_dict']))
    # mmengine saves the average where weights are looked for, and the weights as "ema".
    assert torch.equal(checkpoint['ema_state_dict'][f'module.{name}'], last[name])
    assert not torch.equal(checkpoint['state_dict'][name], last[name])

    cfg.load_from, cfg.resume = f'{runner.work_dir}/epoch_2.pth', True
    cfg.experiment_name = f'{tmp_path}-again'
    again = train(cfg)
    for name, parameter in again.model.named_parameters():
        assert torch.equal(parameter, last[name]), name


def test_a_checkpoint_of_another_backbone_is_refused_unless_the_config_allows_it(tiny_clip, tmp_path):
    runner = train(read_config(tmp_path, tiny_clip))
    other = tmp_path / 'other'
    other.mkdir()
    cfg = read_config(other, write_clip(other, seed=7), load_from=f'{runner.work_dir}/best.pth')
    with pytest.raises(WeightsError, match='was trained on backbone.*allow_other_backbone=True'):
        Runner.from_cfg(cfg).test()
    cfg.custom_hooks[0].allow_other_backbone = True
    Runner.from_cfg(cfg).test()
