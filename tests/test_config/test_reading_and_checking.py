from pathlib import Path

import pytest
from helpers.tiny_run import config_text, write_config

from mmcma.config import check_config, check_run_settings, load_config, own_config
from mmcma.config.reading import CONFIGS
from mmcma.utils.errors import ConfigError


def written(folder: Path, text: str, name: str = 'a.py') -> Path:
    path = folder / name
    path.write_text(text)
    return path


def message_of(function, *args) -> str:
    with pytest.raises(ConfigError) as error:
        function(*args)
    assert '\n' not in str(error.value)
    return str(error.value)


def test_a_missing_file_is_named_with_near_matches(tmp_path):
    written(tmp_path, '', 'cma_tiny.py')
    assert "Did you mean 'cma_tiny.py'?" in message_of(load_config, tmp_path / 'cma_tyni.py')
    assert 'does not exist' in message_of(load_config, tmp_path / 'no' / 'a.py')


def test_the_packages_own_configs_go_by_name(tmp_path, monkeypatch):
    files = list(CONFIGS.glob('[!_]*/*.py'))
    assert len(files) > 100 and {own_config(path.stem) for path in files} == set(files)  # no name comes twice
    assert own_config('cma_tiny_msvd.py') == own_config('cma_tiny_msvd') and own_config('videos') is None
    monkeypatch.chdir(tmp_path)
    assert load_config('cma_tiny_msvd').model.neck.type == 'CrossModalAdapter'
    (tmp_path / 'cma_tiny_msvd.py').write_text('mine = True')  # a file is what it is called
    assert load_config('cma_tiny_msvd.py').mine
    for wrong in ('cma_tiny_msdv', 'configs/cma/cma_tiny_msvd_.py'):
        assert "Did you mean 'cma_tiny_msvd" in message_of(load_config, wrong)


def test_a_config_inherits_from_the_packages_own(tmp_path):
    (tmp_path / 'own.py').write_text("_base_ = 'mmcma::cma/cma_tiny_msvd.py'\nmodel = dict(neck=dict(shared_dim=4))")
    own, theirs = load_config(tmp_path / 'own.py'), load_config('cma_tiny_msvd')
    assert own.model.neck == dict(theirs.model.neck, shared_dim=4) and own.train_dataloader == theirs.train_dataloader


@pytest.mark.parametrize('text, parts', [
    ('x = 1\nmodel = dict(type=\n', ['a.py', 'line 2']),
    ('x = 1\ny = z\n', ['a.py', 'NameError', "'z'"]),
    ("_base_ = ['base.py']\n", ['a.py', '_base_', 'base.py']),
    ("custom_imports = dict(imports=['no_such_module'])\n", ['a.py', 'no_such_module']),
])
def test_a_faulty_file_is_named(tmp_path, text, parts):
    message = message_of(load_config, written(tmp_path, text))
    assert all(part in message for part in parts), message


def test_the_file_with_the_syntax_error_is_named_and_not_the_one_that_inherits(tmp_path):
    written(tmp_path, 'x = 1\n\nx = (\n', 'base.py')
    message = message_of(load_config, written(tmp_path, "_base_ = ['base.py']\n"))
    assert 'base.py' in message and 'line 3' in message


def test_a_replaced_variable_is_replaced_where_it_was_used(tmp_path):
    path = written(tmp_path, '''
data_root = 'data/msvd/'
train_dataloader = dict(dataset=dict(data_root=data_root, ann_file=data_root + 'raw-captions.pkl', n=3),
                        other=['data/msvd', 'data/msvd2', 'x/data/msvd/'])
''')
    cfg = load_config(path, dict(data_root='/real', **{'train_dataloader.dataset.n': 4}))
    assert cfg.data_root == '/real'
    assert cfg.train_dataloader.dataset == dict(data_root='/real', ann_file='/real/raw-captions.pkl', n=4)
    assert cfg.train_dataloader.other == ['data/msvd', 'data/msvd2', 'x/data/msvd/']
    assert load_config(path).data_root == 'data/msvd/'


def test_options_that_would_change_nothing_are_errors(tmp_path):
    path = written(tmp_path, 'batch_size = 8\ntrain_dataloader = dict(batch_size=batch_size)\n')
    message = message_of(load_config, path, dict(batch_size=16))
    assert 'set train_dataloader.batch_size' in message
    message = message_of(load_config, path, {'train_dataloadr.batch_size': 1})
    assert "Did you mean 'train_dataloader'" in message
    assert load_config(path, dict(compile=True)).compile is True


def test_options_that_do_not_fit_are_errors(tmp_path):
    path = written(tmp_path, 'custom_hooks = [dict(a=1)]\n')
    assert 'custom_hooks.3.a' in message_of(load_config, path, {'custom_hooks.3.a': 1})


def test_a_right_config_passes(tiny_clip, tmp_path):
    check_config(load_config(write_config(tmp_path, tiny_clip)))


@pytest.mark.parametrize('key, value, parts', [
    ('model.type', 'CrossModalRetreiver', ["model.type='CrossModalRetreiver'", "'CrossModalRetriever'"]),
    ('model.neck.type', 'CrossModalAdaptor', ["model.neck.type='CrossModalAdaptor'", "'CrossModalAdapter'"]),
    ('model.head.similarity.type', 'QuerryScore', ['model.head.similarity.type=', "'QueryScore'"]),
    ('model.neck.bottleneck', 8, ['model.neck: CrossModalAdapter', "no 'bottleneck'", "'bottleneck_dim'"]),
    ('train_dataloader.dataset.type', 'NoiseClip', ['train_dataloader.dataset.type', "'NoiseClips'"]),
    ('train_dataloader.dataset.sise', 3, ["NoiseClips takes no 'sise'", "'size'"]),
    ('val_dataloader.sampler.shufle', True, ['val_dataloader.sampler', "'shuffle'"]),
    ('train_dataloader.sampler.type', 'InfinitSampler', ["'InfiniteSampler'"]),
    ('custom_hooks.0.type', 'FrozenParamHook', ['custom_hooks[0].type', "'FrozenParameterHook'"]),
    ('default_hooks.logger.intervall', 3, ['default_hooks.logger', "'interval'"]),
    ('optim_wrapper.optimizer.type', 'AdamWW', ['optim_wrapper.optimizer.type', "'AdamW'"]),
    ('optim_wrapper.optimizer.beta', 1, ["BertAdam takes no 'beta'", "'betas'"]),
    ('optim_wrapper.clip_grads', {}, ['optim_wrapper', "'clip_grad'"]),
    ('param_scheduler.0.warmup', 1, ['param_scheduler[0]', "'warmup_ratio'"]),
    ('val_evaluator.type', 'RetrievalMetrics', ["'RetrievalMetric'"]),
    ('test_cfg.type', 'RetrievalTestLop', ["'RetrievalTestLoop'"]),
    ('visualizer.vis_backends.0.type', 'LocalBackend', ["'LocalVisBackend'"]),
    ('log_processor.windowsize', 3, ["'window_size'"]),
    ('env_cfg.cudnn_benchmrk', True, ["env_cfg takes no 'cudnn_benchmrk'", "'cudnn_benchmark'"]),
    ('auto_scale_lr.enabled', True, ["auto_scale_lr takes no 'enabled'", "'enable'"]),
    ('default_hooks', 'logger', ["default_hooks must be a dict; got 'logger'"]),
    ('train_dataloader', 3, ['train_dataloader must be a dict with a dataset; got 3']),
])
def test_typos_are_found_with_place_and_near_matches(tiny_clip, tmp_path, key, value, parts):
    cfg = load_config(write_config(tmp_path, tiny_clip), {key: value})
    message = message_of(check_config, cfg)
    assert 'tiny.py' in message
    assert all(part in message for part in parts), message


def test_a_backbone_of_mmpretrain_without_its_scope(tiny_clip, tmp_path):
    cfg = load_config(write_config(tmp_path, tiny_clip))
    cfg.model.vision_backbone = dict(type='MMPretrainTower', backbone=dict(type='ViTEVA02', arch='b'), embed_dim=16)
    message = message_of(check_config, cfg)
    assert "model.vision_backbone.backbone.type='ViTEVA02'" in message and "type='mmpretrain.ViTEVA02'" in message
    cfg.model.vision_backbone.backbone.type = 'mmpretrain.ViTEVA02'
    check_config(cfg)


def test_what_is_missing_is_found(tiny_clip, tmp_path):
    text = config_text(tiny_clip).replace("type='NoiseClips', size=24, seed=1", "type='NoiseClips', size=24")
    assert 'NoiseClips needs seed' in message_of(check_config, load_config(written(tmp_path, text)))
    text = config_text(tiny_clip).replace("dict(type='BestCheckpointHook')", 'dict()')
    assert 'custom_hooks[2] needs a type' in message_of(check_config, load_config(written(tmp_path, text)))


@pytest.mark.parametrize('key, value', [
    ('custom_hooks.0.priority', 'LOW'),
    ('param_scheduler', [dict(type='LinearLR', start_factor=0.1, begin=0, end=1, by_epoch=True,
                              convert_to_iter_based=True), dict(type='CosineAnnealingLR', eta_min=0)]),
    ('model.neck', None),
    ('model.init_cfg', dict(type='Pretrained', checkpoint='a')),
    ('model.vision_backbone.type', 'mmpretrain.VisionTransformer'),
    ('val_evaluator', [dict(type='RetrievalMetric')]),
    ('train_dataloader.collate_fn', dict(type='pseudo_collate')),
    ('train_dataloader.num_batch_per_epoch', 2),
    ('train_cfg', dict(by_epoch=False, max_iters=3)),
    ('default_hooks.timer', None),
    ('custom_hooks', [dict(type='EMAHook', ema_type='StochasticWeightAverage', momentum=0.1)]),
    ('optim_wrapper.accumulative_counts', 2),
    ('optim_wrapper.paramwise_cfg', dict(custom_keys={})),
])
def test_what_works_is_no_error(tiny_clip, tmp_path, key, value):
    path = write_config(tmp_path, tiny_clip)
    cfg = load_config(path)
    cfg.merge_from_dict({key: value})
    if key == 'train_cfg':
        cfg.train_cfg = value
    check_config(cfg)


def pipeline(**loading) -> list[dict]:
    return [loading, dict(type='ResizeCrop', size=32), dict(type='PackRetrievalInputs')]


def with_parts(folder: Path, tiny_clip: str, neck: dict, loading: dict):
    """The tiny config with this neck and with a data set that loads frames this way."""
    cfg = load_config(write_config(folder, tiny_clip))
    cfg.model.neck = neck
    cfg.train_dataloader.dataset = dict(type='GlyphMotion', split='train', data_root='x', pipeline=pipeline(**loading))
    return cfg


ST = dict(type='STAdapter', bottleneck_dim=8)


@pytest.mark.parametrize('neck', [ST, dict(type='CombinedNeck', necks=[dict(type='LoRA'), ST])])
@pytest.mark.parametrize('loading', [dict(type='LoadImage'), dict(type='LoadVideoFrames', num_frames=1)])
def test_a_temporal_method_on_single_frames_is_refused(tiny_clip, tmp_path, neck, loading):
    message = message_of(check_config, with_parts(tmp_path, tiny_clip, neck, loading))
    for part in ('tiny.py', "type='STAdapter'", 'train_dataloader.dataset.pipeline[0]', loading['type'], 'num_frames'):
        assert part in message


@pytest.mark.parametrize('neck, loading', [
    (ST, dict(type='LoadVideoFrames', num_frames=2)), (ST, dict(type='LoadVideoFrames')),
    (dict(type='LoRA'), dict(type='LoadImage'))])
def test_other_pairs_of_method_and_frames_pass(tiny_clip, tmp_path, neck, loading):
    check_config(with_parts(tmp_path, tiny_clip, neck, loading))


@pytest.mark.parametrize('neck', [dict(type='DGL', max_frames=3), dict(type='MVAdapter', max_frames=3)])
def test_a_method_for_fewer_frames_than_are_loaded_is_refused(tiny_clip, tmp_path, neck):
    check_config(with_parts(tmp_path, tiny_clip, neck, dict(type='LoadVideoFrames', num_frames=3)))
    loading = dict(type='LoadVideoFrames', num_frames=4)
    message = message_of(check_config, with_parts(tmp_path, tiny_clip, neck, loading))
    assert f'model.neck.max_frames=3 of {neck["type"]} is less than the 4 frames that train_dataloader' in message


def test_frames_that_a_method_cannot_divide_are_refused(tiny_clip, tmp_path):
    neck, loading = dict(type='PromptSwitch', num_prompts=3), dict(type='LoadVideoFrames', num_frames=4)
    check_config(with_parts(tmp_path, tiny_clip, neck, dict(loading, num_frames=6)))
    message = message_of(check_config, with_parts(tmp_path, tiny_clip, neck, loading))
    assert 'model.neck.num_prompts=3 of PromptSwitch does not divide the 4 frames that train_dataloader' in message


@pytest.mark.parametrize('combined', [False, True])
def test_another_number_of_frames_than_is_loaded_is_refused(tiny_clip, tmp_path, combined):
    neck = dict(type='TempMe', num_frames=4, merge_layers=(0, 1), merge_frames=(2, 2))
    neck = dict(type='CombinedNeck', necks=[neck]) if combined else neck
    check_config(with_parts(tmp_path, tiny_clip, neck, dict(type='LoadVideoFrames', num_frames=4)))
    message = message_of(check_config, with_parts(tmp_path, tiny_clip, neck, dict(type='LoadVideoFrames')))
    place = 'model.neck.necks[0]' if combined else 'model.neck'
    for part in (f'{place}.num_frames=4 of TempMe', '12', 'train_dataloader.dataset.pipeline[0]', 'to the same'):
        assert part in message


def test_typos_within_combined_methods_are_found(tiny_clip, tmp_path):
    neck = dict(type='CombinedNeck', necks=[dict(type='LoRA'), dict(type='VTP')])
    message = message_of(check_config, with_parts(tmp_path, tiny_clip, neck, dict(type='LoadImage')))
    assert "model.neck.necks[1].type='VTP'" in message and "'VPT'" in message


@pytest.mark.parametrize('lines, fault', [
    ("data_root = '/mine'", "'/mine' has no effect: train_dataloader.dataset.data_root is 'data/glyphmotion'"),
    ("pretrained = 'openai/x'", "pretrained = 'openai/x' has no effect: model.vision_backbone.pretrained is"),
    ("data_root = '/mine'\ntrain_dataloader = dict(dataset=dict(data_root=data_root))", None),
    ("data_root = '/mine'\ntrain_dataloader = dict(dataset=dict(data_root='/mine/train'))", None),
    ("data_root = 'data/glyphmotion'", None),
    ("own_note = 'of no part'", None),
    ("work_dir = '/elsewhere'", None),
])
def test_a_variable_that_came_too_late_is_refused(tmp_path, lines, fault):
    """Bases are read first: a data_root beside them is not theirs."""
    path = tmp_path / 'child.py'
    path.write_text(f"_base_ = 'mmcma::cma/cma_tiny_glyphmotion.py'\n{lines}\n")
    if fault is None:
        load_config(path)
    else:
        assert fault in message_of(load_config, path)


@pytest.mark.parametrize('text', ['', 'model = None', 'model = dict()'])
def test_a_config_without_a_model_is_refused(tmp_path, text):
    assert 'there is no model: add one' in message_of(check_run_settings, load_config(written(tmp_path, text)))


@pytest.mark.parametrize('name, text', [('a.yml', 'data_root: mine'), ('a.json', '{"data_root": "mine"}')])
def test_a_config_may_be_yaml_or_json(tmp_path, name, text):
    assert load_config(written(tmp_path, text, name)).data_root == 'mine'
