"""Options of the command line: each becomes what was asked for, or is refused."""
from pathlib import Path

import pytest

from mmcma.cli.main import make_parser
from mmcma.config import load_config, parse_options
from mmcma.utils.errors import ConfigError

CONFIG = """
data_root = 'data/own'
empty = ''
source = dict(type='CaptionedFiles', data_root=data_root, missing='error')
train_dataloader = dict(batch_size=8, dataset=dict(ann_file='train.csv', **source))
test_dataloader = dict(dataset=dict(ann_file='', note=empty, **source))
train_cfg = dict(max_epochs=5)
custom_hooks = [dict(type='FrozenParameterHook')]
load_from = None
"""


def config(folder: Path) -> Path:
    path = folder / 'a.py'
    path.write_text(CONFIG)
    return path


def loaded(folder: Path, *pairs: str):
    return load_config(config(folder), parse_options(pairs))


def refusal(folder: Path, *pairs: str) -> str:
    with pytest.raises(ConfigError) as error:
        loaded(folder, *pairs)
    assert '\n' not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize('text', [
    'a,b', '/nowhere/a,b', '2024', '1e3', 'None', 'True', '[x]', '(x, y)', '/my data/of  May', ' x ', "it's", '"x"',
    'a=b', 'a(1', '50%', 'données', '~/x', '007', 'x' * 300])
def test_where_the_config_has_a_text_an_option_is_that_text(tmp_path, text):
    cfg = loaded(tmp_path, f'data_root={text}', f'test_dataloader.dataset.ann_file={text}', f'work_dir={text}')
    roots = [cfg.data_root, cfg.train_dataloader.dataset.data_root, cfg.test_dataloader.dataset.data_root]
    assert roots == [text] * 3
    assert cfg.test_dataloader.dataset.ann_file == text
    assert cfg.work_dir == (text if text != 'None' else None)


@pytest.mark.parametrize('text, value', [
    ('1', 1), ('1e-3', 1e-3), ('True', True), ('false', False), ('None', None), ('', ''), ('[1,2]', [1, 2]),
    ('1,2,3', [1, 2, 3]), ('(x, None)', ('x', None)), ('[(1, 2), [a b, c]]', [(1, 2), ['a b', 'c']]), ('[]', []),
    ("'1'", '1'), ("['a,b', it's]", ['a,b', "it's"]), ('a b', 'a b'), ('{}', {}), ('(0.9, 0.98,)', (0.9, 0.98)),
    ("[dict(type='EMAHook', momentum=1e-4, to=[a, b])]", [dict(type='EMAHook', momentum=1e-4, to=['a', 'b'])]),
    ("{'a': 1, b: (x,)}", dict(a=1, b=('x',))), ('dict()', {}), ('http://host:80/', 'http://host:80/')])
def test_elsewhere_values_are_read_as_python_and_mmengine_write_them(tmp_path, text, value):
    got = loaded(tmp_path, f'train_dataloader.other={text}').train_dataloader.other
    assert got == value and isinstance(got, type(value))


@pytest.mark.parametrize('text', ['[1,2,(3]', '[1', '1]', '(]', "['a", 'dict(1)', '{a}'])
def test_what_cannot_be_read_is_refused_with_its_key(tmp_path, text):
    assert f'train_cfg.max_epochs={text!r}' in refusal(tmp_path, f'train_cfg.max_epochs={text}')


@pytest.mark.parametrize('pair', ['a', '=1', ''])
def test_an_option_without_key_or_value_is_refused(tmp_path, pair):
    assert repr(pair) in refusal(tmp_path, pair)


def test_an_empty_text_is_replaced_under_its_own_name_only(tmp_path):
    path = config(tmp_path)
    path.write_text(CONFIG.replace("'data/own'", "''"))
    cfg = load_config(path, dict(data_root='/x'))
    assert cfg.train_dataloader.dataset.data_root == cfg.test_dataloader.dataset.data_root == '/x'
    assert cfg.test_dataloader.dataset.ann_file == cfg.test_dataloader.dataset.note == ''


@pytest.mark.parametrize('pair, part', [
    ('source.missing=skip', 'set train_dataloader.dataset.missing or test_dataloader.dataset.missing'),
    ('source.new=1', "'source' is a variable"),
    ('source=x', "'source' is a variable"),
    ('empty=x', "'empty' is a variable"),
    ('data_root.x=1', "'data_root' is a variable"),
    ('trian_cfg.max_epochs=1', "Did you mean 'train_cfg'"),
    ('custom_hooks.3.type=X', 'custom_hooks.3.type'),
])
def test_an_option_that_would_change_nothing_is_refused(tmp_path, pair, part):
    assert part in refusal(tmp_path, pair)


def test_a_text_of_which_nothing_was_made_is_refused(tmp_path):
    unused = tmp_path / 'unused.py'
    unused.write_text(f"{CONFIG}\ndata_root = 'elsewhere'\n")
    with pytest.raises(ConfigError, match='set train_dataloader.dataset.data_root or'):
        load_config(unused, dict(data_root='/x'))
    with pytest.raises(ConfigError, match='variable'):
        load_config(config(tmp_path), dict(data_root=3))


def test_a_key_that_comes_twice_is_refused(tmp_path):
    assert 'train_cfg.max_epochs comes twice' in refusal(tmp_path, 'train_cfg.max_epochs=1', 'train_cfg.max_epochs=2')


def test_a_long_value_is_cut_in_the_message(tmp_path):
    assert len(refusal(tmp_path, f'train_cfg.max_epochs=[{"1," * 5000}')) < 300


def test_options_given_apart_all_count():
    args = make_parser().parse_args(['test', 'a.py', '--cfg-options', 'a=1', 'b=2', '--cfg-options', 'c=3'])
    assert args.cfg_options == ['a=1', 'b=2', 'c=3']
    assert make_parser().parse_args(['test', 'a.py']).cfg_options == []
