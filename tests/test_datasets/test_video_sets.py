"""VATEX, LSMDC, DiDeMo and ActivityNet Captions: small files in the distributed form, and the real ones."""
import json
from operator import itemgetter
from pathlib import Path

import pytest
from helpers.media import SHARED, needs_shared_data

from mmcma.datasets import LSMDC, VATEX, ActivityNetCaptions, DiDeMo
from mmcma.datasets.annotations.media_folder import MediaFolder
from mmcma.utils.errors import DataError

# ---- as distributed, small ----

CLIPS = ['Ptf_2VRj-V0_000122_000132', '3c0hLqxvSSI_000000_000010', 'sf2PPeXQrUA_000000_000010']


def touch(root, *names):
    for name in names:
        path = root / 'videos' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def write_vatex(root):
    for part, names in (('training', CLIPS[:1]), ('validation', CLIPS[1:])):
        rows = [dict(videoID=name, enCap=[f'Caption {k} of {name}.' for k in range(10)], chCap=['一' * 3] * 10)
                for name in names]
        (root / f'vatex_{part}_v1.0.json').write_text(json.dumps(rows))
    for split, name in zip(['train', 'val', 'test'], CLIPS):
        (root / f'{split}_list.txt').write_text(name + '\n')
    return touch(root, *(f'{name}.mp4' for name in CLIPS))


def write_lsmdc(root):
    clips = ['0001_American_Beauty_00.00.51.926-00.00.54.129', '3009_BATTLE_LOS_ANGELES_00.03.07.170-00.03.09.675']
    times = '00.00.51.926\t00.00.54.129\t00.00.51.426\t00.00.54.629'
    (root / 'LSMDC16_annos_training.csv').write_text(
        f'{clips[0]}\t{times}\tSOMEONE says "no, thanks.\n{clips[1]}\t{times}\tHe nods.\n'
        f'{clips[0]}\t{times}\tHe goes.\n')
    (root / 'LSMDC16_annos_val.csv').write_text(f'{clips[0]}\t{times}\tHe nods.\n')
    (root / 'LSMDC16_challenge_1000_publictect.csv').write_text(f'{clips[1]}\t{times}\tA man, alone.\n')
    return touch(root, *(f"{clip.rpartition('_')[0]}/{clip}.avi" for clip in clips))


VIDEOS = ['54322086@N00_2408598493_274c77d26a.avi', '35034348999@N01_6060447507_dc1a90b8ef.mov',
          '14591478@N00_4304462149_5c32ba8abf']


def write_didemo(root):
    moments = [dict(video=video, description=f'{text} in {number} ', times=[[1, 1], [0, 0]], num_segments=6,
                    annotation_id=10 * number, dl_link='')
               for text in ('a hat', 'the end') for number, video in enumerate(VIDEOS)]
    for split in ('train', 'val', 'test'):
        (root / f'{split}_data.json').write_text(json.dumps(moments))
        (root / f'{split}_list.txt').write_text(f'{VIDEOS[1]}\n{VIDEOS[0].removesuffix(".avi")}\n')
    return touch(root, VIDEOS[0], VIDEOS[1].replace('.mov', '.mp4'), VIDEOS[2] + '.3gp')


def write_activitynet(root):
    data = {'v_uqiMw7tQ1Cc': dict(duration=55.15, timestamps=[[0.28, 55.15], [13.79, 54.32]],
                                  sentences=['A lesson is given.', '  The coach helps.'])}
    (root / 'train.json').write_text(json.dumps(data))
    (root / 'val_1.json').write_text(json.dumps(data))
    return touch(root, 'v_uqiMw7tQ1Cc.mp4')


def test_vatex(tmp_path):
    root = str(write_vatex(tmp_path))
    for split, name in zip(['train', 'val', 'test'], CLIPS):
        item = VATEX(split=split, data_root=root, test_mode=True).items[0]
        assert item['id'] == name and item['path'] == f'{root}/videos/{name}.mp4'
        assert item['captions'] == [f'Caption {k} of {name}.' for k in range(10)]
    assert len(VATEX(split='train', data_root=root)) == 10


def test_lsmdc(tmp_path):
    """A clip with two sentences is one item; a quotation mark is text."""
    root = write_lsmdc(tmp_path)
    train = LSMDC(split='train', data_root=str(root))
    beauty, battle = train.items
    assert beauty['captions'] == ['SOMEONE says "no, thanks.', 'He goes.'] and battle['captions'] == ['He nods.']
    name = '3009_BATTLE_LOS_ANGELES'
    assert battle['path'] == f'{root}/videos/{name}/{name}_00.03.07.170-00.03.09.675.avi'
    assert len(train) == 3 and battle['start'] is None
    test = LSMDC(split='test', data_root=str(root), test_mode=True)
    assert test.items[0]['captions'] == ['A man, alone.'] and test.gallery == (1, 1000)


def test_lsmdc_clip_missing(tmp_path):
    root = write_lsmdc(tmp_path)
    next((root / 'videos' / '3009_BATTLE_LOS_ANGELES').iterdir()).unlink()
    with pytest.raises(DataError, match='1 of 2 items have no file .*3009_BATTLE'):
        LSMDC(split='train', data_root=str(root))
    assert LSMDC(split='train', data_root=str(root), missing='skip').gallery == (1, 101079)


def test_didemo(tmp_path):
    """Lists, JSON and files with other suffixes are one video; the list's order; descriptions in the file's."""
    root = write_didemo(tmp_path)
    dataset = DiDeMo(split='test', data_root=str(root), test_mode=True)
    assert [item['captions'] for item in dataset.items] == [['a hat in 1 the end in 1'], ['a hat in 0 the end in 0']]
    assert [Path(item['path']).name for item in dataset.items] == [VIDEOS[1].replace('.mov', '.mp4'), VIDEOS[0]]
    (root / 'test_list.txt').unlink()
    assert [item['id'] for item in DiDeMo(split='test', data_root=str(root)).items] == \
        [video.partition('.')[0] for video in VIDEOS]


def test_didemo_paragraph_is_in_the_order_of_the_file(tmp_path):
    """As in CLIP4Clip, whatever the times; blanks around a description are no part of it, those inside are."""
    root = write_didemo(tmp_path)
    moments = [dict(video=VIDEOS[0], description=text, times=[[chunk, chunk]])
               for text, chunk in (('  the end ', 5), ('it  begins\n', 0), ('\tthen', 2))]
    (root / 'val_data.json').write_text(json.dumps(moments))
    (root / 'val_list.txt').write_text(VIDEOS[0])
    item, = DiDeMo(split='val', data_root=str(root), test_mode=True).items
    assert item['captions'] == ['the end it  begins then']
    assert (item['start'], item['end']) == (None, None)


def test_didemo_video_under_two_names(tmp_path):
    root = write_didemo(tmp_path)
    for name in ('train_data.json', 'train_list.txt'):
        text = (root / name).read_text()
        (root / name).write_text(text.replace(VIDEOS[0], VIDEOS[0].replace('.avi', '.'), 1))
    assert DiDeMo(split='train', data_root=str(root)).items[1]['captions'] == ['a hat in 0 the end in 0']


def test_activitynet(tmp_path):
    root = str(write_activitynet(tmp_path))
    for split in ('train', 'val_1'):
        item = ActivityNetCaptions(split=split, data_root=root, test_mode=True).items[0]
        assert (item['id'], item['captions']) == ('v_uqiMw7tQ1Cc', ['A lesson is given. The coach helps.'])
        assert item['path'] == f'{root}/videos/v_uqiMw7tQ1Cc.mp4'
        assert item['start'] is None and item['end'] is None


def test_activitynet_paragraph_is_in_the_order_of_the_file(tmp_path):
    root = write_activitynet(tmp_path)
    data = {'v_uqiMw7tQ1Cc': dict(duration=9, timestamps=[[5, 9], [0, 5], [1, 2]],
                                  sentences=[' The end.', 'It  begins. ', ' \n'])}
    (root / 'train.json').write_text(json.dumps(data))
    item, = ActivityNetCaptions(split='train', data_root=str(root), test_mode=True).items
    assert item['captions'] == ['The end. It  begins.']


# ---- wrong ----

WRONG = [
    (VATEX, write_vatex, 'vatex_training_v1.0.json', 'Caption 1 of Ptf_2VRj-V0_000122_000132.', ' ',
     'training_v1.0.json, row 0, caption 1: empty caption'),
    (VATEX, write_vatex, 'vatex_training_v1.0.json', 'enCap', 'cap', "row 0: .* has not .*and 'caption' .or 'enCap'"),
    (VATEX, write_vatex, 'vatex_training_v1.0.json', f'"{CLIPS[0]}", "enCap', '"..", "enCap',
     "row 0: '..' is not an id"),
    (VATEX, write_vatex, 'vatex_training_v1.0.json', '"enCap": [', '"enCap": "a", "x": [',
     "'a' where a list of captions should be"),
    (VATEX, write_vatex, 'vatex_training_v1.0.json', '[{', '{', 'not JSON .*truncated file'),
    (VATEX, write_vatex, 'vatex_training_v1.0.json', '[{"videoID"',
     f'[{{"videoID": "{CLIPS[0]}", "enCap": ["a"]}}, {{"videoID"',
     "training_v1.0.json, row 1: id 'Ptf.*' comes twice"),
    (VATEX, write_vatex, 'train_list.txt', '132', '133', 'no captions for 1 of the 1 videos .*_000133'),
    (VATEX, write_vatex, 'train_list.txt', '132\n', '132\n' + CLIPS[0] + '\n', 'line 2: id .* comes twice'),
    (LSMDC, write_lsmdc, 'LSMDC16_annos_training.csv', '\tHe nods.', ' He nods.',
     r'training.csv, line 2: 5 cells separated by tabs, not the 6 \(clip, '),
    (LSMDC, write_lsmdc, 'LSMDC16_annos_training.csv', 'He nods.', ' ', 'line 2: empty caption'),
    (LSMDC, write_lsmdc, 'LSMDC16_annos_training.csv', '3009', 'a/3009', "line 2: 'a/3009.* is not an id"),
    (LSMDC, write_lsmdc, 'LSMDC16_annos_training.csv', '3009_BATTLE_LOS_ANGELES_', '',
     "line 2: '00.03.*' is not a clip"),
    (DiDeMo, write_didemo, 'train_data.json', '"a hat in 1 "', '" "', 'train_data.json, moment 1: empty caption'),
    (DiDeMo, write_didemo, 'train_data.json', '"a hat in 1 "', '7', 'moment 1: caption 7 is not text'),
    (DiDeMo, write_didemo, 'train_data.json', '"video"', '"name"', "not DiDeMo's file: .*KeyError"),
    (DiDeMo, write_didemo, 'train_list.txt', 'dc1a90b8ef.mov', 'dc1a90b8ef', None),
    (DiDeMo, write_didemo, 'train_list.txt', f'{VIDEOS[1]}\n{VIDEOS[0].removesuffix(".avi")}\n', '',
     'DiDeMo train: no items'),
    (DiDeMo, write_didemo, 'train_list.txt', 'dc1a', 'aaaa', 'no descriptions for 1 of the 2 videos .*aaaa'),
    (DiDeMo, write_didemo, 'train_list.txt', VIDEOS[1], VIDEOS[0], "line 2: id .* comes twice"),
    (ActivityNetCaptions, write_activitynet, 'train.json', 'sentences', 'lines', "no list 'sentences'"),
    (ActivityNetCaptions, write_activitynet, 'train.json', '"A lesson is given."', '3', 'sentence 0: 3 is not text'),
    (ActivityNetCaptions, write_activitynet, 'train.json', '"A lesson is given."', '" "', None),
    (ActivityNetCaptions, write_activitynet, 'train.json', '["A lesson is given.", "  The coach helps."]', '[" "]',
     "train.json, 'v_uqiMw7tQ1Cc': empty caption"),
    (ActivityNetCaptions, write_activitynet, 'train.json', '{"v_', '{"v_uqiMw7tQ1Cc": {"sentences": ["a"]}, "v_',
     "train.json: .*the key 'v_uqiMw7tQ1Cc' comes twice"),
    (ActivityNetCaptions, write_activitynet, 'train.json', 'v_', '../v_', "video 0: '../v_.* is not an id"),
]


@pytest.mark.parametrize('kind, write, name, old, new, message', WRONG)
def test_wrong(tmp_path, kind, write, name, old, new, message):
    """The message names file and place; where there is none, the change is harmless."""
    path = write(tmp_path) / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    if message is None:
        assert len(kind(split='train', data_root=str(tmp_path)))
    else:
        with pytest.raises(DataError, match=message):
            kind(split='train', data_root=str(tmp_path))


def test_lsmdc_not_utf8(tmp_path):
    path = write_lsmdc(tmp_path) / 'LSMDC16_annos_training.csv'
    path.write_bytes(path.read_bytes().replace(b'He nods', 'Café'.encode('latin-1')))
    with pytest.raises(DataError, match='training.csv, line 2: byte 0xe9 is not UTF-8'):
        LSMDC(split='train', data_root=str(tmp_path))


@pytest.mark.parametrize('kind', [VATEX, LSMDC, DiDeMo, ActivityNetCaptions])
def test_no_data_root(tmp_path, kind):
    with pytest.raises(DataError, match=f"data_root '{tmp_path}/no' is not a folder; {kind.__name__} train expects"):
        kind(split='train', data_root=f'{tmp_path}/no')


@pytest.mark.parametrize('kind, name, content', [
    (VATEX, 'vatex_training_v1.0.json', {'a': 1}), (DiDeMo, 'train_data.json', {'a': 1}),
    (ActivityNetCaptions, 'train.json', [1]), (ActivityNetCaptions, 'train.json', {'v_a': 1})])
def test_json_of_something_else(tmp_path, kind, name, content):
    {VATEX: write_vatex, DiDeMo: write_didemo, ActivityNetCaptions: write_activitynet}[kind](tmp_path)
    (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(DataError, match=name):
        kind(split='train', data_root=str(tmp_path))


# ---- the real files ----

@pytest.fixture
def all_files(monkeypatch):
    """Every id has a file."""
    monkeypatch.setattr(MediaFolder, 'find', lambda self, item_id: item_id)


@needs_shared_data
@pytest.mark.parametrize('kind, folder, split, items', [
    (ActivityNetCaptions, 'ActivityNet', 'val_1', 4917), (DiDeMo, 'DiDeMo', 'val', 1065)])
def test_real_paragraphs(all_files, kind, folder, split, items):
    dataset = kind(split=split, data_root=SHARED, data_prefix=dict(ann=f'annotations/{folder}', visual='clips'))
    assert (len(dataset.items), len(dataset), dataset.gallery) == (items, items, (items, items))


@needs_shared_data
def test_real_didemo_names(all_files):
    """1,094 names are 1,065 videos, and every one of the 4,180 descriptions is in a paragraph."""
    moments = json.loads(Path(SHARED, 'annotations/DiDeMo/val_data.json').read_text())
    assert (len(moments), len({moment['video'] for moment in moments})) == (4180, 1094)
    dataset = DiDeMo(split='val', data_root=SHARED, data_prefix=dict(ann='annotations/DiDeMo', visual='clips'))
    paragraphs = ' '.join(item['captions'][0] for item in dataset.items)
    assert len(paragraphs.split()) == sum(len(moment['description'].split()) for moment in moments)
    item = next(item for item in dataset.items if item['id'] == '37843859@N06_5657299577_ba8a716e73')
    assert all(moment['description'].strip() in item['captions'][0] for moment in moments
               if moment['video'].startswith(item['id']))


@needs_shared_data
def test_real_vatex_lists(all_files, tmp_path):
    """The three lists of the protocol share no clip; the other list of 1,500 shares clips with val."""
    folder = Path(SHARED, 'annotations/VATEX')
    lists = {name: (folder / f'{name}_list.txt').read_text().split() for name in ('train', 'val', 'test')}
    for part, names in (('training', lists['train']), ('validation', lists['val'] + lists['test'])):
        rows = [dict(videoID=name, enCap=['a'] * 10) for name in names]
        (tmp_path / f'vatex_{part}_v1.0.json').write_text(json.dumps(rows))
    for name in lists:
        (tmp_path / f'{name}_list.txt').symlink_to(folder / f'{name}_list.txt')
    touch(tmp_path, 'a.mp4')
    counts = {split: VATEX(split=split, data_root=str(tmp_path)) for split in VATEX.SPLITS}
    assert {split: (len(d.items), len(d)) for split, d in counts.items()} == \
        dict(train=(25991, 259910), val=(1500, 15000), test=(1500, 15000))
    assert len(set().union(*lists.values())) == 25991 + 3000
    other = set((folder / 'test1k5_sec_list.txt').read_text().split())
    assert (len(other & set(lists['val'])), len(other & set(lists['test']))) == (776, 724)


# ---- moments ----

def test_didemo_moments(tmp_path):
    """Segments of 5 seconds; the time that most annotators chose; the file may end before the last segment."""
    rows = [dict(video=VIDEOS[0], description='a hat', times=[[1, 1], [0, 0], [1, 1], [1, 2]], num_segments=6),
            dict(video=VIDEOS[0], description='the end', times=[[4, 5]] * 4, num_segments=6),
            dict(video=VIDEOS[0], description='a cap', times=[[1, 1]] * 4, num_segments=6)]
    (tmp_path / 'test_data.json').write_text(json.dumps(rows))
    dataset = DiDeMo(split='test', data_root=str(touch(tmp_path, VIDEOS[0])), moments=True, test_mode=True)
    stem = VIDEOS[0].removesuffix('.avi')
    fields = itemgetter('id', 'captions', 'span', 'start', 'end_at_most')
    assert list(map(fields, dataset.items)) == [
        (f'{stem}#5-10', ['a hat', 'a cap'], (5, 10), 5, 10), (f'{stem}#20-30', ['the end'], (20, 30), 20, 30)]
    assert dataset.items[0]['caption_times'] == [[(5, 10), (0, 5), (5, 10), (5, 15)], [(5, 10)] * 4]
    assert dataset.gallery == (2, 2) and dataset.items[1]['path'].endswith(VIDEOS[0])
    training = DiDeMo(split='test', data_root=str(tmp_path), moments=True)
    assert (training.get_data_info(1)['captions'], training.get_data_info(1)['caption_times']) == (
        ['a cap'], [[(5, 10)] * 4])


def test_activitynet_moments(tmp_path):
    video = dict(duration=60.5, timestamps=[[0, 20.25], [20, 60.5], [0, 20.25]],
                 sentences=['One goes. ', 'Two come.', 'A third.'])
    (tmp_path / 'val_1.json').write_text(json.dumps(dict(v_a=video)))
    options = dict(split='val_1', data_root=str(touch(tmp_path, 'v_a.mp4')), moments=True, test_mode=True)
    dataset = ActivityNetCaptions(**options)
    assert [(item['id'], item['captions'], item['start'], item['end_at_most']) for item in dataset.items] == [
        ('v_a#0-20.25', ['One goes.', 'A third.'], 0, 20.25), ('v_a#20-60.5', ['Two come.'], 20, 60.5)]
    for change, message in ((dict(timestamps=[[0, 1]]), "no 'duration' and 'timestamps'"), (dict(duration='x'), 'x'),
                            (dict(timestamps=[[0, 1], [5, 5], [0, 1]]), '5 to 5 s is no part of its 60.5 s'),
                            (dict(timestamps=[[0, 1], [70, 80], [0, 1]]), '70 to 80 s is no part')):
        (tmp_path / 'val_1.json').write_text(json.dumps(dict(v_a=video | change)))
        with pytest.raises(DataError, match=message):
            ActivityNetCaptions(**options)


@needs_shared_data
@pytest.mark.parametrize('kind, split, name, captions', [
    (ActivityNetCaptions, 'val_1', 'ActivityNet', 17505), (DiDeMo, 'val', 'DiDeMo', 4180)])
def test_real_moments(kind, split, name, captions):
    dataset = kind(split=split, data_prefix=dict(ann=f'{SHARED}/annotations/{name}', visual=''), moments=True,
                   lazy_init=True)
    found = dataset.read_videos()
    assert sum(len(video.moments) for video in found.values()) == captions
