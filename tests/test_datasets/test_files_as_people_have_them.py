"""Folders and annotation files in the other forms in which data sets lie on disks; what would be a guess is refused."""
import json
import pickle
from pathlib import Path

import pytest
from helpers.annotations import write_flickr8k, write_msrvtt, write_msvd
from helpers.media import SHARED, needs_shared_data

from mmcma.datasets import COCO, LSMDC, MSRVTT, MSVD, VATEX, ActivityNetCaptions, CaptionedFiles, Flickr8k, Flickr30k
from mmcma.datasets.retrieval_dataset import SplitSize
from mmcma.utils.errors import DataError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def write_json(path: Path, data) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))


def refused(kind, **options) -> str:
    with pytest.raises(DataError) as caught:
        kind(**options)
    assert '\n' not in str(caught.value)
    return str(caught.value)


# ---- where the files lie ----

def in_two_folders(root: Path) -> Path:
    """MSR-VTT as Microsoft's archives unpack: the last video in a folder of its own."""
    videos = write_msrvtt(root) / 'videos'
    touch(videos, 'TestVideo/x', 'TrainValVideo/x')
    for video in sorted(videos.glob('*.mp4')):
        video.rename(videos / ('TestVideo' if video.stem == 'video5' else 'TrainValVideo') / video.name)
    return root


def test_videos_in_two_folders(tmp_path):
    root = in_two_folders(tmp_path)
    for split, folder in (('test-1kA', 'TestVideo'), ('val', 'TrainValVideo')):
        item = MSRVTT(split=split, data_root=str(root)).items[0]
        assert item['path'] == f"{root}/videos/{folder}/{item['id']}.mp4"
    assert len(MSRVTT(split='train-9k', data_root=str(root)).items) == 5


def test_frames_of_a_video_are_one_item(tmp_path):
    root = in_two_folders(tmp_path)
    (root / 'videos/TestVideo/video5.mp4').unlink()
    touch(root / 'videos/TestVideo/video5', '0.jpg', 'video5.mp4')
    assert MSRVTT(split='test-1kA', data_root=str(root)).items[0]['path'] == f'{root}/videos/TestVideo/video5'


def test_two_files_of_one_name_are_no_choice(tmp_path):
    root = in_two_folders(tmp_path)
    touch(root / 'videos', 'old/video5.mp4')
    said = refused(MSRVTT, split='test-1kA', data_root=str(root))
    assert "'video5' lies in" in said and 'TestVideo/video5.mp4' in said and 'old/video5.mp4' in said
    touch(root / 'videos', 'video5.mp4')  # where it should be
    assert MSRVTT(split='test-1kA', data_root=str(root)).items[0]['path'] == f'{root}/videos/video5.mp4'


@pytest.mark.parametrize('layout, prefix', [
    (['all/video5.mp4'], 'all'), (['a/TrainValVideo/video3.mp4', 'a/TestVideo/video5.mp4'], 'a/TestVideo'),
])
def test_no_folder_says_where_they_are(tmp_path, layout, prefix):
    root = write_msrvtt(tmp_path)
    for video in (root / 'videos').iterdir():
        video.unlink()
    (root / 'videos').rmdir()
    touch(root, *layout)
    said = refused(MSRVTT, split='test-1kA', data_root=str(root))
    assert f'{root}/videos: no such file or folder' in said
    assert said.endswith(f'But there is {root}/{prefix}/video5.mp4: set data_prefix=dict(visual={prefix!r}).')
    assert MSRVTT(split='test-1kA', data_root=str(root), data_prefix=dict(visual=prefix)).gallery == (1, 1000)


def test_no_annotation_says_where_it_is(tmp_path):
    root = write_msrvtt(tmp_path)
    touch(root / 'lists', 'x')
    for name in ('MSRVTT_JSFUSION_test.csv', 'MSRVTT_train.9k.csv'):
        (root / name).rename(root / 'lists' / name)
    said = refused(MSRVTT, split='test-1kA', data_root=str(root))
    assert said.endswith(f"But there is {root}/lists/MSRVTT_JSFUSION_test.csv: set data_prefix=dict(ann='lists').")


def test_captioned_files_lie_where_their_list_says(tmp_path):
    touch(tmp_path, 'videos/garage/01.mp4', 'videos/02.mp4')
    (tmp_path / 'own.csv').write_text('path,caption\nkitchen/01.mp4,a cook\n02.mp4,a car\n')
    options = dict(ann_file='own.csv', data_root=str(tmp_path), data_prefix=dict(visual='videos'))
    said = refused(CaptionedFiles, **options)
    assert '1 of 2 items have no file in' in said and 'or below' not in said
    assert f'But there is {tmp_path}/videos/garage/01.mp4' in said


CLIP = '0001_American_Beauty_00.00.51.926-00.00.54.129'


@pytest.mark.parametrize('place', [
    f'{CLIP}.avi', f'0001_American_Beauty/{CLIP}.avi', f'clips/0001_American_Beauty/{CLIP}.avi'])
def test_lsmdc_flat_and_nested(tmp_path, place):
    (tmp_path / 'LSMDC16_challenge_1000_publictect.csv').write_text(f'{CLIP}\ta\tb\tc\td\tShe sits.\n')
    touch(tmp_path / 'videos', place)
    assert LSMDC(split='test', data_root=str(tmp_path)).items[0]['path'] == f'{tmp_path}/videos/{place}'


@pytest.mark.parametrize('item_id', ['v_uqiMw7tQ1Cc', 'uqiMw7tQ1Cc'])
@pytest.mark.parametrize('place', ['v_uqiMw7tQ1Cc.mp4', 'uqiMw7tQ1Cc.mp4', 'train/uqiMw7tQ1Cc.mkv'])
def test_activitynet_with_and_without_v(tmp_path, item_id, place):
    write_json(tmp_path / 'val_2.json', {item_id: dict(duration=1, timestamps=[[0, 1]], sentences=['A man.'])})
    touch(tmp_path / 'videos', place)
    dataset = ActivityNetCaptions(split='val_2', data_root=str(tmp_path), test_mode=True)
    assert dataset.items[0]['path'] == f'{tmp_path}/videos/{place}' and dataset.gallery == (1, 4885)


# ---- other files ----

def test_msrvtt_as_its_two_files(tmp_path):
    root = write_msrvtt(tmp_path)
    whole = {split: MSRVTT(split=split, data_root=str(root)).items for split in MSRVTT.SPLITS}
    data = json.loads((root / 'MSRVTT_data.json').read_text())
    (root / 'MSRVTT_data.json').unlink()
    for name, wanted in (('train_val', ('train', 'validate')), ('test', ('test',))):
        videos = [video for video in data['videos'] if video['split'] in wanted]
        names = {video['video_id'] for video in videos}
        write_json(root / f'{name}_videodatainfo.json', dict(
            videos=videos, sentences=[row for row in data['sentences'] if row['video_id'] in names]))
    for split, items in whole.items():
        assert list(MSRVTT(split=split, data_root=str(root)).items) == list(items)
    (root / 'test_videodatainfo.json').unlink()  # not needed for these, and asked for by name for the others
    assert list(MSRVTT(split='val', data_root=str(root)).items) == list(whole['val'])
    assert 'test_videodatainfo.json: no such file' in refused(MSRVTT, split='train-9k', data_root=str(root))


def test_msrvtt_of_mmaction2_and_lavis(tmp_path):
    root = write_msrvtt(tmp_path)
    for file in root.glob('MSRVTT*'):
        file.unlink()
    write_json(root / 'train_9k.json', {'video0.mp4': ['one', 'two'], 'video1.mp4': ['three']})
    write_json(root / 'test_JSFUSION.json', {'video5.mp4': ['a man']})
    train = MSRVTT(split='train-9k', data_root=str(root))
    assert [(item['id'], item['captions']) for item in train.items] == [
        ('video0', ['one', 'two']), ('video1', ['three'])]
    test = MSRVTT(split='test-1kA', data_root=str(root), test_mode=True)
    assert test.items[0]['path'] == f'{root}/videos/video5.mp4' and test.gallery == (1, 1000)
    rows = [('video0.mp4', 'one'), ('video1.mp4', '3'), ('video0.mp4', 'two')]
    write_json(root / 'retrieval_train.json', [dict(video=video, caption=caption) for video, caption in rows])
    lavis = MSRVTT(split='train-7k', data_root=str(root), ann_file='retrieval_train.json')
    assert {item['id']: item['captions'] for item in lavis.items} == dict(video0=['one', 'two'], video1=['3'])


@pytest.mark.parametrize('form', [lambda words: words, ' '.join], ids=['words', 'texts'])
def test_msvd_captions_as_json(tmp_path, form):
    root = write_msvd(tmp_path)
    expected = list(MSVD(split='train', data_root=str(root)).items)
    captions = pickle.loads((root / 'raw-captions.pkl').read_bytes())
    (root / 'raw-captions.pkl').unlink()
    write_json(root / 'raw-captions.json', {name: [form(words) for words in own] for name, own in captions.items()})
    assert list(MSVD(split='train', data_root=str(root)).items) == expected


def test_msvd_of_mmaction2_needs_a_list_unless_it_is_the_split(tmp_path, monkeypatch):
    root = write_msvd(tmp_path)
    write_json(root / 'train.json', {'-4wsuPCjDBc_5_15.avi': ['a cat'], 'aM-RcQj0a7I_37_55.avi': ['it plays']})
    options = dict(split='train', data_root=str(root), ann_file='train.json')
    assert len(MSVD(**options).items) == 1  # there is train_list.txt
    (root / 'train_list.txt').unlink()
    assert "train.json: 2 videos, and 'train' has 1,200; which are they? Put train_list.txt" in refused(MSVD, **options)
    monkeypatch.setitem(MSVD.SPLITS, 'train', SplitSize(2, 2))
    assert [item['id'] for item in MSVD(**options).items] == ['-4wsuPCjDBc_5_15', 'aM-RcQj0a7I_37_55']


@pytest.mark.parametrize('form', [list, lambda own: dict(enCap=own, chCap=['一'])], ids=['lists', 'dicts'])
def test_vatex_of_clip2video(tmp_path, form):
    clip = 'Ptf_2VRj-V0_000122_000132'
    write_json(tmp_path / 'vatex_data.json', {clip: form(['One.', 'Two.']), 'other': form(['Three.'])})
    (tmp_path / 'test_list.txt').write_text(clip)
    touch(tmp_path, f'videos/{clip}.mp4')
    assert VATEX(split='test', data_root=str(tmp_path)).items[0]['captions'] == ['One.', 'Two.']


def coco_own(root: Path) -> Path:
    images = [dict(id=number, file_name=f'{number:012}.jpg', height=1) for number in (139, 285, 632)]
    rows = [dict(image_id=number, id=10 * number, caption=f'A {number}. ') for number in (285, 139, 285)]
    write_json(root / 'captions_val2017.json', dict(info={}, images=images, annotations=rows, licenses=[]))
    touch(root, *(f"images/val2017/{image['file_name']}" for image in images))
    return root


def test_cocos_own_file(tmp_path):
    """A photo without captions is none that could be found."""
    dataset = COCO(split='val2017', data_root=str(coco_own(tmp_path)), test_mode=True)
    assert [(item['id'], item['captions']) for item in dataset.items] == [
        ('000000000139.jpg', ['A 139.']), ('000000000285.jpg', ['A 285.', 'A 285.'])]
    assert dataset.items[0]['path'] == f'{tmp_path}/images/val2017/000000000139.jpg'


def test_cocos_own_split_is_not_karpathys(tmp_path):
    options = dict(data_root=str(coco_own(tmp_path)), ann_file='captions_val2017.json')
    assert "set split='val2017'" in refused(COCO, split='val', **options)
    write_json(tmp_path / 'captions_val2017.json', [])
    assert "not COCO's own file" in refused(COCO, split='val2017', **options)
    write_json(tmp_path / 'captions_val2017.json', dict(images=[], annotations=[dict(id=1, image_id=7, caption='a')]))
    assert "'annotations' id, image_id (of an image) and caption (Key" in refused(COCO, split='val2017', **options)


PHOTOS = ['1000092795.jpg', '1000268201.jpg']
TOKEN = '1000092795.jpg#0\tTwo young guys .\n1000092795.jpg#1\tTwo men, outside .\n1000268201.jpg#0\tA child .\n'
BARS = ('image_name| comment_number| comment\n1000092795.jpg| 0| Two young guys .\n'
        '1000092795.jpg| 1| Two men, outside .\n1000268201.jpg| 0   A child .\n')


@pytest.mark.parametrize('name, text', [('results_20130124.token', TOKEN), ('results.csv', BARS)])
@pytest.mark.parametrize('suffix', ['', '.jpg'])
def test_flickr30k_captions_with_lists(tmp_path, name, text, suffix):
    """The file with bars lacks one in a line of those that go around, as here in the last."""
    touch(tmp_path, *(f'images/flickr30k-images/{photo}' for photo in PHOTOS))
    (tmp_path / name).write_text(text)
    assert f'{name} knows no splits: put test.txt' in refused(Flickr30k, split='test', data_root=str(tmp_path))
    (tmp_path / 'test.txt').write_text(f'1000268201{suffix}\n1000092795{suffix}\n')
    dataset = Flickr30k(split='test', data_root=str(tmp_path), test_mode=True)
    assert [(item['id'], item['captions']) for item in dataset.items] == [
        (PHOTOS[1], ['A child .']), (PHOTOS[0], ['Two young guys .', 'Two men, outside .'])]


def test_flickr30k_of_blip(tmp_path):
    touch(tmp_path, *(f'images/{photo}' for photo in PHOTOS))
    rows = [dict(image=f'flickr30k-images/{PHOTOS[0]}', caption=['One.', 'Two.'])]
    write_json(tmp_path / 'flickr30k_test.json', rows)
    write_json(tmp_path / 'flickr30k_train.json', [dict(rows[0], caption=text, image_id=0) for text in ('A.', 'B.')])
    for split, captions in (('test', ['One.', 'Two.']), ('train', ['A.', 'B.'])):
        item, = Flickr30k(split=split, data_root=str(tmp_path)).items
        assert item['captions'] == captions and item['path'] == f'{tmp_path}/images/{PHOTOS[0]}'


def test_flickr8k_captions_txt(tmp_path):
    root = write_flickr8k(tmp_path)
    photo = Flickr8k(split='train', data_root=str(root)).items[0]['id']
    (root / 'Flickr8k.token.txt').unlink()
    (root / 'captions.txt').write_text(f'image,caption\n{photo},A child .\n{photo},"A girl, going in ."\n')
    assert Flickr8k(split='train', data_root=str(root)).items[0]['captions'] == ['A child .', 'A girl, going in .']
    (root / 'captions.txt').write_text(f'image,caption\n{photo},A girl, going in .\n')
    assert 'captions.txt, line 2: not as many cells' in refused(Flickr8k, split='train', data_root=str(root))


@pytest.mark.parametrize('old, new, said', [
    ('| 1| Two', ', 1, Two', "line 3: .* is not 'photo.jpg. 0. caption'"),
    ('| 1| Two', '| 0| Two', "line 3: '1000092795.jpg#0' comes twice"),
    ('Two young guys .', '', 'line 2: empty caption')])
def test_bars_wrong(tmp_path, old, new, said):
    (tmp_path / 'results.csv').write_text(BARS.replace(old, new))
    (tmp_path / 'test.txt').write_text('1000268201\n')
    with pytest.raises(DataError, match=said):
        Flickr30k(split='test', data_root=str(tmp_path))


@needs_shared_data
def test_real_msrvtt_as_its_two_files(tmp_path):
    import gzip
    source = Path(SHARED, 'annotations/MSRVTT')
    data = json.loads(gzip.decompress((source / 'MSRVTT_data.json.gz').read_bytes()))
    test = {video['video_id'] for video in data['videos'] if video['split'] == 'test'}
    for name, inside in (('test', True), ('train_val', False)):
        write_json(tmp_path / f'{name}_videodatainfo.json', {
            key: [row for row in data[key] if (row['video_id'] in test) == inside] for key in ('videos', 'sentences')})
    for name in ('MSRVTT_train.9k.csv', 'MSRVTT_train.7k.csv'):
        (tmp_path / name).symlink_to(source / name)
    for split in ('train-9k', 'val', 'test-full'):
        items = MSRVTT(split=split, data_root=str(tmp_path), lazy_init=True).read_items()
        assert SplitSize(len(items), sum(len(item['captions']) for item in items)) == MSRVTT.SPLITS[split]
