"""MSR-VTT, MSVD and Flickr8k: small files in the distributed form, and the real ones."""
import gzip
import json
import pickle
from unicodedata import normalize

import pytest
from helpers.annotations import write_flickr8k, write_msrvtt, write_msvd
from helpers.media import SHARED, needs_shared_data

from mmcma.datasets import MSRVTT, MSVD, Flickr8k
from mmcma.datasets.annotations.media_folder import MediaFolder
from mmcma.datasets.annotations.reading import read_table, read_text
from mmcma.datasets.annotations.unpickling import load_plain_pickle
from mmcma.utils.errors import DataError

# ---- as distributed, small ----

def test_msrvtt(tmp_path):
    root = str(write_msrvtt(tmp_path))
    train = MSRVTT(split='train-9k', data_root=root)
    assert [item['id'] for item in train.items] == [f'video{n}' for n in range(5)]
    assert train.items[1]['captions'] == ['caption 0 of video1', 'caption 1 of video1']
    assert train.items[1]['path'] == f'{root}/videos/video1.mp4'
    assert len(train) == 10 and train.metainfo == dict(dataset='MSRVTT', split='train-9k')
    sizes = [len(MSRVTT(split=split, data_root=root).items) for split in ('train-7k', 'train', 'val')]
    assert sizes == [4, 4, 1]
    test = MSRVTT(split='test-1kA', data_root=root, test_mode=True)
    assert [(item['id'], item['captions']) for item in test.items] == [('video5', ['a man, talking'])]
    assert test.gallery == (1, 1000)
    assert test.items[0]['start'] is None and test.items[0]['end'] is None


def test_msrvtt_gzipped(tmp_path):
    root = write_msrvtt(tmp_path)
    plain = root / 'MSRVTT_data.json'
    (root / 'MSRVTT_data.json.gz').write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    assert len(MSRVTT(split='train-9k', data_root=str(root))) == 10


def test_caption_file_elsewhere(tmp_path):
    root = write_msrvtt(tmp_path)
    (root / 'MSRVTT_data.json').rename(root / 'own.json')
    assert len(MSRVTT(split='train-9k', data_root=str(root), ann_file='own.json')) == 10
    with pytest.raises(DataError, match='typo.json: no such file'):
        MSRVTT(split='train-9k', data_root=str(root), ann_file='typo.json')


def test_msvd(tmp_path):
    root = str(write_msvd(tmp_path))
    test = MSVD(split='test', data_root=root, test_mode=True)
    assert test.items[0]['id'] == 'bQJQGoJF7_k_162_169'
    assert test.items[0]['captions'] == ['a cat number 2', 'it plays']
    assert len(MSVD(split='train', data_root=root)) == 2


def test_flickr8k(tmp_path):
    root = str(write_flickr8k(tmp_path))
    dataset = Flickr8k(split='dev', data_root=root, test_mode=True,
                       pipeline=[dict(type='LoadImage'), dict(type='ResizeCrop', size=16),
                                 dict(type='PackRetrievalInputs')])
    assert dataset.items[0]['captions'] == [f'caption {k} .' for k in range(5)]
    assert dataset[0]['inputs'].shape == (1, 3, 16, 16)


# ---- wrong ----

def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize('old, new, message', [
    ('"caption 0 of video1"', '"  "', r"MSRVTT_data.json, sentence 20 of 'video1': empty caption"),
    ('"caption 0 of video1"', '7', r"sentence 20 of 'video1': caption 7 is not text"),
    ('"caption 0 of video1"', '"half an emoji \\ud83d"', r"sentence 20 of 'video1': caption .* holds half a surrogate"),
    ('"video_id": "video1", "sen_id": 20', '"video_id": ["video1"], "sen_id": 20',
     r"sentence 20: \['video1'\] is not an id"),
    ('"video_id": "video1", "sen_id": 20', '"video_id": {"a": 1}, "sen_id": 20',
     r"sentence 20: \{'a': 1\} is not an id"),
    ('"video_id": "video1", "split"', '"video_id": ["video1"], "split"', 'video 1: .* is not an id'),
    ('"sentences"', '"sentence"', "not MSR-VTT's file"),
    ('"caption"', '"text"', "not MSR-VTT's file"),
    ('[', '', r'MSRVTT_data.json: not JSON .*line 1 column \d+'),
])
def test_msrvtt_captions_wrong(tmp_path, old, new, message):
    root = write_msrvtt(tmp_path)
    edit(root / 'MSRVTT_data.json', old, new)
    with pytest.raises(DataError, match=message) as error:
        MSRVTT(split='train', data_root=str(root))
    assert len(str(error.value).replace(str(root), '')) < 300


@pytest.mark.parametrize('old, new, message', [
    ('video1\n', 'video0\n', "9k.csv, line 3: id 'video0' comes twice .first in .*line 2"),
    ('video1\n', '../video1\n', "line 3: '../video1' is not an id"),
    ('video1\n', '..\n', "line 3: '..' is not an id"),
    ('video1\n', 'video77\n', 'no captions for 1 of the 5 videos .*video77'),
    ('video_id', 'key', 'no column video_id'),
    ('video1\n', '"video1\n', 'not CSV'),
    ('video1\n', 'video1,video2\n', '9k.csv, line 3: not as many cells'),
])
def test_msrvtt_list_wrong(tmp_path, old, new, message):
    root = write_msrvtt(tmp_path)
    edit(root / 'MSRVTT_train.9k.csv', old, new)
    with pytest.raises(DataError, match=message):
        MSRVTT(split='train-9k', data_root=str(root))


def test_no_items_names_the_files(tmp_path):
    root = write_flickr8k(tmp_path)
    (root / 'Flickr_8k.trainImages.txt').write_text('\n')
    with pytest.raises(DataError, match='Flickr8k train: no items in .*trainImages.txt and .*Flickr8k.token.txt'):
        Flickr8k(split='train', data_root=str(root))


def test_ids_are_one_in_both_forms_of_unicode(tmp_path):
    root, name = write_msvd(tmp_path), 'caf\u00e9_1_2'
    nfd = normalize('NFD', name)
    (root / 'raw-captions.pkl').write_bytes(pickle.dumps({nfd: [['a', 'cup']]}))
    (root / 'train_list.txt').write_text(name)
    (root / 'videos' / f'{nfd}.avi').touch()
    (item,) = MSVD(split='train', data_root=str(root)).items
    assert item['id'] == name and item['path'] == f'{root}/videos/{nfd}.avi'
    (root / 'train_list.txt').write_text(f'{name}\n{nfd}\n')
    with pytest.raises(DataError, match='line 2: id .* comes twice'):
        MSVD(split='train', data_root=str(root))


def test_msrvtt_truncated(tmp_path):
    root = write_msrvtt(tmp_path)
    path = root / 'MSRVTT_data.json'
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(DataError, match='MSRVTT_data.json: not JSON .*line 1 column .*truncated'):
        MSRVTT(split='train-9k', data_root=str(root))
    path.unlink()
    (root / 'MSRVTT_data.json.gz').write_bytes(gzip.compress(whole)[:-30])
    with pytest.raises(DataError, match='json.gz: not a whole gzip file'):
        MSRVTT(split='train-9k', data_root=str(root))
    (root / 'MSRVTT_data.json').write_text(json.dumps([1, 2]))
    with pytest.raises(DataError, match="MSRVTT_data.json, row 0: 1 has not 'video'"):
        MSRVTT(split='train-9k', data_root=str(root))


def test_test_list_without_sentences(tmp_path):
    root = write_msrvtt(tmp_path)
    edit(root / 'MSRVTT_JSFUSION_test.csv', '"a man, talking"', 'a man, talking')
    with pytest.raises(DataError, match='JSFUSION_test.csv, line 2: not as many cells .*comma'):
        MSRVTT(split='test-1kA', data_root=str(root))
    edit(root / 'MSRVTT_JSFUSION_test.csv', 'a man, talking', '')
    with pytest.raises(DataError, match='JSFUSION_test.csv, line 2: empty caption'):
        MSRVTT(split='test-1kA', data_root=str(root))
    (root / 'MSRVTT_JSFUSION_test.csv').write_text('video_id\nvideo5\n')
    with pytest.raises(DataError, match='no column sentence'):
        MSRVTT(split='test-1kA', data_root=str(root))


@pytest.mark.parametrize('captions, message', [
    ({'aM-RcQj0a7I_37_55': [['a']]}, 'no captions for 1 of the 1 videos'),
    ({'-4wsuPCjDBc_5_15': [[]]}, "'-4wsuPCjDBc_5_15', caption 0: empty caption"),
    ({'-4wsuPCjDBc_5_15': [['a'], ['b', 3]]}, 'caption 1: .* is not a list of words'),
    ({'-4wsuPCjDBc_5_15': [7]}, 'caption 0: caption 7 is not text'),
    ({'-4wsuPCjDBc_5_15': 'a cat'}, "'a cat' where a list of captions should be"),
    ([1], "row 0: 1 has not 'video'"),
    (7, 'holds 7, not a dict'),
])
def test_msvd_captions_wrong(tmp_path, captions, message):
    root = write_msvd(tmp_path)
    (root / 'raw-captions.pkl').write_bytes(pickle.dumps(captions))
    with pytest.raises(DataError, match=message):
        MSVD(split='train', data_root=str(root))


@pytest.mark.parametrize('old, new, message', [
    ('#2\t', '#2 ', "token.txt, line 3: '1000268201.* is not 'photo.jpg#0<TAB>"),
    ('#2\t', '#1\t', "token.txt, line 3: '1000268201.*#1' comes twice .first in .*line 2"),
    ('caption 2 .', ' ', 'token.txt, line 3: empty caption'),
])
def test_flickr8k_wrong(tmp_path, old, new, message):
    root = write_flickr8k(tmp_path)
    edit(root / 'Flickr8k.token.txt', old, new)
    with pytest.raises(DataError, match=message):
        Flickr8k(split='train', data_root=str(root))


def test_not_utf8(tmp_path):
    path = tmp_path / 'list.txt'
    path.write_bytes('a\nb\ncafé\n'.encode('latin-1'))
    with pytest.raises(DataError, match='list.txt, line 3: byte 0xe9 is not UTF-8'):
        read_text(path)
    with pytest.raises(DataError, match='cannot be read'):
        read_text(tmp_path)
    path.write_text('\ufeffvideo_id\r\nv1\r\n', encoding='utf-8')
    assert read_table(path, ['video_id']) == [(f'{path}, line 2', {'video_id': 'v1'})]


# ---- pickles ----

class Attack:
    def __reduce__(self):
        import os
        return os.system, ('touch attacked',)


class Plain:
    pass


@pytest.mark.parametrize('protocol', range(5))
def test_plain_pickles_open(tmp_path, protocol):
    data = {'a': [('b', 1, 2.5, True, None)], 'é': {'x', 'y'}}
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(data, protocol))
    assert load_plain_pickle(tmp_path / 'a.pkl') == data


@pytest.mark.parametrize('thing', [Attack(), {'a': [Attack()]}, Plain, Plain(), print, 1j])
def test_other_pickles_do_not(tmp_path, monkeypatch, thing):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(thing))
    with pytest.raises(DataError, match='a.pkl: refused: it asks for '):
        load_plain_pickle(tmp_path / 'a.pkl')
    assert not (tmp_path / 'attacked').exists()


@pytest.mark.parametrize('data', [
    b'', b'junk', pickle.dumps({'a': ['b'] * 9})[:-5], b'\x80\x04r\xff\xff\xff\xff.',
    b'\x80\x02U\x01\xe9.'])  # a byte string of Python 2 that is not UTF-8
def test_damaged_pickles(tmp_path, data):
    (tmp_path / 'a.pkl').write_bytes(data)
    with pytest.raises(DataError, match='a.pkl: not a readable pickle'):
        load_plain_pickle(tmp_path / 'a.pkl')


# ---- the real files ----

@pytest.fixture
def all_files(monkeypatch):
    """Every id has a file."""
    monkeypatch.setattr(MediaFolder, 'find', lambda self, item_id: item_id)


@needs_shared_data
@pytest.mark.parametrize('kind, split, items, captions', [
    (MSRVTT, 'train-9k', 9000, 180000), (MSRVTT, 'train-7k', 7010, 140200), (MSRVTT, 'test-1kA', 1000, 1000),
    (MSRVTT, 'train', 6513, 130260), (MSRVTT, 'val', 497, 9940), (MSRVTT, 'test-full', 2990, 59800),
    (MSVD, 'train', 1200, 48774), (MSVD, 'val', 100, 4290),
    (Flickr8k, 'train', 6000, 30000), (Flickr8k, 'dev', 1000, 5000)])
def test_real_counts(all_files, kind, split, items, captions):
    folder = 'flickr8k' if kind is Flickr8k else f'annotations/{kind.__name__}'
    dataset = kind(split=split, data_root=SHARED, data_prefix=dict(ann=folder, visual='clips'))
    assert (len(dataset.items), len(dataset)) == (items, captions)
    assert dataset.gallery == (items, items)


@needs_shared_data
def test_real_list_of_another_split(all_files, tmp_path):
    from pathlib import Path
    source = Path(SHARED, 'annotations/MSRVTT')
    (tmp_path / 'MSRVTT_data.json.gz').symlink_to(source / 'MSRVTT_data.json.gz')
    (tmp_path / 'MSRVTT_train.9k.csv').symlink_to(source / 'MSRVTT_train.7k.csv')
    with pytest.raises(DataError, match="lists 7,010 items .* the size of 'train-7k'"):
        MSRVTT(split='train-9k', data_root=str(tmp_path), data_prefix=dict(visual=''))


@needs_shared_data
@pytest.mark.parametrize('kind, prefix, present', [
    (MSVD, dict(ann='annotations/MSVD', visual='clips/MSVD'), 59),
    (MSRVTT, dict(ann='annotations/MSRVTT', visual='clips/MSR-VTT'), 18)])
def test_real_clips(kind, prefix, present):
    split = next(iter(kind.SPLITS))
    dataset = kind(split=split, data_root=SHARED, data_prefix=prefix, missing='skip', pipeline=[
        dict(type='LoadVideoFrames'), dict(type='ResizeCrop', size=64), dict(type='PackRetrievalInputs')])
    assert dataset.gallery == (present, kind.SPLITS[split].items)
    sample = dataset[len(dataset) - 1]
    assert sample['inputs'].shape == (12, 3, 64, 64) and sample['data_samples'].frame_mask[0]
