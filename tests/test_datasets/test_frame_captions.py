"""Captions of single frames: from files, of GlyphMotion's clips, and what is refused."""
import json

import numpy as np
import pytest
from mmengine.config import Config

from mmcma.datasets import DescribeGlyphFrames, LoadFrameCaptions, PackRetrievalInputs
from mmcma.utils.errors import ConfigError, DataError


@pytest.fixture
def load(tmp_path):
    """Loads a sample's captions of frames from a file with these contents."""
    def load(contents, valid: int = 3, **sample) -> list[str]:
        path = tmp_path / 'captions.json'
        path.write_text(json.dumps(contents))
        results = {'id': 'v1', 'captions': ['a cat'], 'frame_mask': np.arange(3) < valid, **sample}
        return LoadFrameCaptions(ann_file=str(path))(results)['frame_captions']
    return load


def test_those_of_the_pair_come_before_those_of_the_item(load):
    both = {'v1': ['a', 'b', 'c'], 'v1_a cat': [' d ', 'e', 'f'], 'v2': ['g']}
    assert load(both) == ['d', 'e', 'f']
    assert load(both, captions=['a dog']) == ['a', 'b', 'c']


@pytest.mark.parametrize('name', ['v1_a cat ', 'v1_ a cat', 'v1_a  cat\n'])
def test_blanks_that_readers_strip_are_no_other_caption(load, name):
    assert load({name: ['a', 'b', 'c']}) == ['a', 'b', 'c']


@pytest.mark.parametrize('captions', [['a', 'b'], ['a', 'b', 'c']])
def test_a_short_clip_has_none_on_padding(load, captions):
    assert load({'v1': captions}, valid=2) == ['a', 'b', '']


@pytest.mark.parametrize('contents, sample, error', [
    ({'v2': ['a'] * 3}, {}, "captions.json: no captions of frames of 'v1_a cat', nor of 'v1': add them, or "),
    ({'v1': ['a']}, dict(valid=2), "captions.json, 'v1': 1 captions; the clip has 2 frames of num_frames=3: one "),
    ({'v1': 'a'}, {}, "'v1': 'a' is no list; the clip has 3 frames"),
    ({'v1': ['a', ' ', 'c']}, {}, "captions.json, 'v1': empty caption"),
    ([1], {}, "captions.json: no object with lists of captions of frames by '<id>_<caption>' or '<id>'")])
def test_a_file_that_does_not_fit_is_refused(load, contents, sample, error):
    with pytest.raises(DataError) as caught:
        load(contents, **sample)
    assert error in str(caught.value)


def test_of_several_captions_all_are_looked_up(load):
    both = {'v1_a cat': ['a', 'b', 'c'], 'v1_a dog': ['d', 'e', 'f']}
    assert load(both, captions=['a cat', 'a dog']) == ['a', 'b', 'c']
    with pytest.raises(DataError, match="no captions of frames of 'v1_a cow', nor of 'v1'"):
        load(both, captions=['a cat', 'a cow'])


def test_a_file_that_is_not_there():
    with pytest.raises(ConfigError, match="ann_file='nowhere.json' is no file: name the JSON file with captions of "):
        LoadFrameCaptions(ann_file='nowhere.json')


def test_the_sample_has_them():
    results = dict(id='v1', item_index=0, path='', captions=['a cat'], frame_mask=np.ones(2, bool),
                   frames=np.zeros((2, 3, 4, 4), np.uint8), frame_captions=['a', 'b'])
    assert PackRetrievalInputs()(results)['data_samples'].frame_captions == ['a', 'b']


def test_glyphs_are_named_where_they_are_to_be_seen():
    """One moves from the left to the right of its cell, the upper half; one comes into view below."""
    common = dict(home=[0.5, 0.75], size=0.2, phase=0.0, other_colour=None)
    actors = [dict(common, glyph='star', colour='red', event='moves right', cell=[0, 0, 1, 0.5]),
              dict(common, glyph='urn', colour='orange', event='appears', cell=[0, 0.5, 1, 1])]
    found = DescribeGlyphFrames()(dict(scene=dict(actors=actors), frame_mask=np.ones(3, bool)))['frame_captions']
    assert found[0].startswith('a red star on the') and found[0].endswith('left')
    assert found[2].startswith('a red star on the') and found[2].endswith(' right and an orange urn on the bottom')
    alone = DescribeGlyphFrames()(dict(scene=dict(actors=actors[1:]), frame_mask=np.ones(3, bool)))['frame_captions']
    assert alone[0] == 'nothing' and alone[2] == 'an orange urn on the bottom'


LOAD, PACK = dict(type='LoadVideoFrames', num_frames=3), dict(type='PackRetrievalInputs')
STEP = dict(type='DescribeGlyphFrames')


def checked(train: list[dict], test: list[dict], **neck) -> None:
    """The check of a config with these pipelines and DiscoVLA."""
    from mmcma.config import check_config
    data = {f'{name}_dataloader': dict(dataset=dict(type='GlyphMotion', pipeline=[LOAD, *steps, PACK]))
            for name, steps in (('train', train), ('test', test))}
    check_config(Config(dict(model=dict(type='CrossModalRetriever', neck=dict(type='DiscoVLA', **neck)), **data)))


@pytest.mark.parametrize('train, test, neck, error', [
    ([], [], dict(frame_captions=True), r'model.neck.frame_captions=True compares frames with captions of theirs, and '
     r'no step of train_dataloader.dataset.pipeline gives any: add LoadFrameCaptions, or set it to False'),
    ([STEP], [], {}, r'train_dataloader.dataset.pipeline\[1\] gives captions of frames, and the model compares none'),
    ([STEP], [STEP], dict(frame_captions=True), r'test_dataloader.dataset.pipeline\[1\] gives captions of frames, '
     'which training alone takes: take it out')])
def test_a_config_that_has_one_side_alone_is_refused(train, test, neck, error):
    checked([STEP], [], frame_captions=True)
    checked([], [])
    with pytest.raises(ConfigError, match=error):
        checked(train, test, **neck)
