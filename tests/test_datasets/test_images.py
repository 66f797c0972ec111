"""COCO, Flickr30K and Flickr8k in the forms of Karpathy and BLIP: small files, and the real one."""
import json
from pathlib import Path

import pytest
from helpers.annotations import write_flickr8k
from helpers.media import SHARED, needs_shared_data, write_image

from mmcma.datasets import COCO, Flickr8k, Flickr30k
from mmcma.datasets.annotations.media_folder import MediaFolder
from mmcma.datasets.retrieval_dataset import SplitSize
from mmcma.utils.errors import DataError

IMAGES = {'train': 'COCO_train2014_000000000009.jpg', 'restval': 'COCO_val2014_000000000042.jpg',
            'val': 'COCO_val2014_000000184613.jpg', 'test': 'COCO_val2014_000000391895.jpg'}


def folder_of(name):
    return name.split('_')[1]


def karpathy(dataset, names, **more):
    """The distributed form: every field of it, two sentences an image."""
    images = []
    for number, (split, name) in enumerate(names.items()):
        sentences = [dict(tokens=['a', name, str(k)], raw=f'A {name}, {k}. ', imgid=number, sentid=2 * number + k)
                     for k in range(2)]
        images.append(dict(sentids=[2 * number, 2 * number + 1], imgid=number, sentences=sentences, split=split,
                           filename=name, **{key: value(name) for key, value in more.items()}))
    return dict(images=images, dataset=dataset)


def write_coco(root):
    for name in IMAGES.values():
        write_image(root / 'images' / folder_of(name) / name)
    data = karpathy('coco', IMAGES, filepath=folder_of, cocoid=lambda name: int(name[-10:-4]))
    (root / 'dataset_coco.json').write_text(json.dumps(data))
    return root


def write_blip(root):
    """BLIP's three files: a row an image, or for training a row a caption."""
    write_coco(root)
    (root / 'dataset_coco.json').unlink()
    image = {split: f'{folder_of(name)}/{name}' for split, name in IMAGES.items()}
    for split in ('val', 'test'):
        rows = [dict(image=image[split], caption=['One thing. ', 'The thing.'])]
        (root / f'coco_karpathy_{split}.json').write_text(json.dumps(rows))
    rows = [dict(caption=f'{split} {k}', image=image[split], image_id=f'coco_{number}')
            for k in range(2) for number, split in enumerate(['train', 'restval'])]
    (root / 'coco_karpathy_train.json').write_text(json.dumps(rows))
    return root


def write_flickr30k(root):
    names = dict(train='1000092795.jpg', val='1000268201.jpg', test='1007129816.jpg')
    for name in names.values():
        write_image(root / 'images' / name)
    (root / 'dataset_flickr30k.json').write_text(json.dumps(karpathy('flickr30k', names)))
    return root


# ---- as distributed, small ----

def test_coco(tmp_path):
    root = str(write_coco(tmp_path))
    test = COCO(split='test', data_root=root, test_mode=True, pipeline=[
        dict(type='LoadImage'), dict(type='ResizeCrop', size=16), dict(type='PackRetrievalInputs')])
    name = IMAGES['test']
    assert [item['id'] for item in test.items] == [name]
    assert test.items[0]['captions'] == [f'A {name}, 0.', f'A {name}, 1.']
    assert test.items[0]['path'] == f'{root}/images/val2014/{name}'
    assert test[0]['inputs'].shape == (1, 3, 16, 16)
    assert test.gallery == (1, 5000)


def test_coco_trains_on_restval_too(tmp_path):
    train = COCO(split='train', data_root=str(write_coco(tmp_path)))
    assert [item['id'] for item in train.items] == [IMAGES['train'], IMAGES['restval']]
    assert len(train) == 4


def test_coco_blip(tmp_path):
    root = str(write_blip(tmp_path))
    test = COCO(split='test', data_root=root, test_mode=True)
    assert test.items[0]['captions'] == ['One thing.', 'The thing.']
    assert test.items[0]['path'] == f"{root}/images/val2014/{IMAGES['test']}"
    train = COCO(split='train', data_root=root)
    assert [item['captions'] for item in train.items] == [['train 0', 'train 1'], ['restval 0', 'restval 1']]
    named = COCO(split='val', data_root=root, ann_file='coco_karpathy_val.json', test_mode=True)
    assert [item['id'] for item in named.items] == [IMAGES['val']]


def test_flickr30k(tmp_path):
    root = str(write_flickr30k(tmp_path))
    assert [Flickr30k(split=split, data_root=root).items[0]['id'] for split in ('train', 'val', 'test')] == [
        '1000092795.jpg', '1000268201.jpg', '1007129816.jpg']


def test_flickr8k_by_karpathy(tmp_path):
    root = write_flickr8k(tmp_path)
    lists = {split: Flickr8k(split=split, data_root=str(root)).items[0]['id'] for split in ('train', 'dev', 'test')}
    names = dict(zip(['train', 'val', 'test'], lists.values()))
    (root / 'dataset_flickr8k.json').write_text(json.dumps(karpathy('flickr8k', names)))
    for path in root.glob('Flickr*.txt'):
        path.unlink()
    for split, name in lists.items():
        dataset = Flickr8k(split=split, data_root=str(root), ann_file='dataset_flickr8k.json')
        assert [(item['id'], len(item['captions'])) for item in dataset.items] == [(name, 2)]


# ---- wrong ----

def broken(path, change):
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


@pytest.mark.parametrize('change, message', [
    (lambda d: d['images'][3].pop('split'), "dataset_coco.json, image 3: images need split.*KeyError: 'split'"),
    (lambda d: d['images'][1].update(split='trainval'), "image 1: split 'trainval' is none of train, restval"),
    (lambda d: d['images'][3]['sentences'][1].update(raw=' '),
     r'image 3 \(COCO_val2014_000000391895.jpg\), sentence 1: empty caption'),
    (lambda d: d['images'][3]['sentences'][0].update(raw=7), 'sentence 0: caption 7 is not text'),
    (lambda d: d['images'][3]['sentences'][0].pop('raw'), 'image 3: .*sentences need raw'),
    (lambda d: d['images'][3].update(sentences=[]), r'image 3 \(COCO.*\): no sentences'),
    (lambda d: d['images'][3].update(filename='../x.jpg'), "image 3: '../x.jpg' is not an id"),
    (lambda d: d['images'][3].update(filepath='..'), r"image 3 \(COCO.*\): '..' is not an id"),
    (lambda d: d['images'].append(d['images'][3]), "split test: id 'COCO_val2014_000000391895.jpg' comes twice"),
    (lambda d: d.update(dataset='flickr30k'), "holds 'flickr30k', not 'coco'"),
    (lambda d: d.pop('images'), "not a file of Karpathy's splits"),
    (lambda d: d['images'].append('x'), 'image 4: images need'),
])
def test_karpathy_wrong(tmp_path, change, message):
    broken(write_coco(tmp_path) / 'dataset_coco.json', change)
    with pytest.raises(DataError, match=message):
        COCO(split='test', data_root=str(tmp_path))


@pytest.mark.parametrize('change, message', [
    (lambda d: d[0].pop('caption'), "coco_karpathy_test.json, row 0: .* has not 'video' .*and 'caption'"),
    (lambda d: d[0].pop('image'), 'coco_karpathy_test.json, row 0: .* has not'),
    (lambda d: d[0].update(image=['x.jpg']), r"row 0: \['x.jpg'\] is not an id"),
    (lambda d: d[0].update(caption=[]), r'row 0: \[\] where a list of captions should be'),
    (lambda d: d[0].update(caption=7), 'row 0: caption 7 is not text'),
    (lambda d: d[0]['caption'].append(''), 'row 0, caption 2: empty caption'),
    (lambda d: d[0].update(image='a/..'), "row 0: '..' is not an id"),
    (lambda d: d.append(d[0]), "row 1: id 'COCO.*' comes twice"),
    (lambda d: d.append(3), 'row 1: 3 has not'),
])
def test_blip_wrong(tmp_path, change, message):
    broken(write_blip(tmp_path) / 'coco_karpathy_test.json', change)
    with pytest.raises(DataError, match=message):
        COCO(split='test', data_root=str(tmp_path))


def test_truncated_or_missing(tmp_path):
    path = write_coco(tmp_path) / 'dataset_coco.json'
    path.write_text(path.read_text()[:-40])
    with pytest.raises(DataError, match='dataset_coco.json: not JSON .*line 1 column .*truncated'):
        COCO(split='test', data_root=str(tmp_path))
    path.unlink()
    with pytest.raises(DataError, match=r'dataset_coco.json: no such file .*expects .*coco_karpathy_train.json'):
        COCO(split='test', data_root=str(tmp_path))


def test_images_missing(tmp_path):
    root = write_coco(tmp_path)
    (root / 'images/val2014' / IMAGES['restval']).unlink()
    with pytest.raises(DataError, match='1 of 2 items have no file .*COCO_val2014_000000000042.jpg'):
        COCO(split='train', data_root=str(root))
    assert len(COCO(split='train', data_root=str(root), missing='skip').items) == 1


def test_list_of_another_split(tmp_path, monkeypatch):
    root = write_flickr30k(tmp_path)
    monkeypatch.setitem(Flickr30k.SPLITS, 'val', SplitSize(3, 6))
    broken(root / 'dataset_flickr30k.json', lambda d: [image.update(split='test') for image in d['images']])
    with pytest.raises(DataError, match="lists 3 items .*the size of 'val'"):
        Flickr30k(split='test', data_root=str(root))


# ---- the real file ----

@needs_shared_data
def test_real_counts():
    prefix = dict(ann='annotations/COCO', visual='clips')
    dataset = COCO(split='test', data_root=SHARED, data_prefix=prefix, lazy_init=True)
    items = dataset.read_items()
    assert (len(items), sum(len(item['captions']) for item in items)) == (5000, 25010)
    assert items[0]['id'] == 'COCO_val2014_000000391895.jpg'


@needs_shared_data
def test_real_items(monkeypatch):
    monkeypatch.setattr(MediaFolder, 'find', lambda self, name: name)  # the images are not there
    dataset = COCO(split='test', data_root=SHARED, data_prefix=dict(ann='annotations/COCO', visual='clips'))
    assert dataset.gallery == (5000, 5000) and len(dataset) == 25010


@needs_shared_data
def test_real_list_in_the_place_of_training(tmp_path):
    source = Path(SHARED, 'annotations/COCO/coco_karpathy_test.json')
    (tmp_path / 'coco_karpathy_train.json').symlink_to(source)
    with pytest.raises(DataError, match="lists 5,000 items .*the size of 'val'"):
        COCO(split='train', data_root=str(tmp_path))
