"""A user's own data: lines of JSON and CSV, right and wrong."""
import csv
import gzip
import io
import json
from functools import partial
from unicodedata import normalize

import pytest
from helpers.media import write_image, write_video
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmcma.datasets import CaptionedFiles
from mmcma.utils.errors import ConfigError, DataError


def items(root, name, text, **options):
    """What the reader makes of a file; no media needed."""
    (root / name).write_text(text, encoding='utf-8')
    return CaptionedFiles(data_root=str(root), ann_file=name, lazy_init=True, **options).read_items()


# ---- right ----

def test_json_lines(tmp_path):
    lines = [dict(path='sub/a.mp4', captions=['One.', ' Two. ']), dict(path='b.mp4', caption='café', id=7),
             dict(path='a.mp4', caption='x', start=1, end=2.5), dict(path='sub/a.mp4', caption='Three.', more=[1])]
    assert items(tmp_path, 'a.jsonl', '\n\n'.join(map(json.dumps, lines))) == [
        dict(id='sub/a.mp4', path='sub/a.mp4', start=None, end=None, captions=['One.', 'Two.', 'Three.']),
        dict(id='7', path='b.mp4', start=None, end=None, captions=['café']),
        dict(id='a.mp4#1.0-2.5', path='a.mp4', start=1.0, end=2.5, captions=['x'])]


def test_csv(tmp_path):
    text = ('caption,path,start,end,id\r\n"a man, talking",a.mp4,,,\r\n"two\nlines",a.mp4,0,3,cut\r\n'
            'again,a.mp4,,,\r\nonce more,a.mp4,0.0,3.0,cut\r\nthe rest,a.mp4,3,,\r\n')
    assert items(tmp_path, 'a.csv', text) == [
        dict(id='a.mp4', path='a.mp4', start=None, end=None, captions=['a man, talking', 'again']),
        dict(id='cut', path='a.mp4', start=0.0, end=3.0, captions=['two\nlines', 'once more']),
        dict(id='a.mp4#3.0-', path='a.mp4', start=3.0, end=None, captions=['the rest'])]


def test_videos_and_images_in_folders(tmp_path):
    write_video(tmp_path / 'media/x/one.mp4', num_frames=30, fps=10)
    write_image(tmp_path / 'media/y/two.png', grey=90)
    (tmp_path / 'list.csv.gz').write_bytes(gzip.compress(
        b'path,caption,start,end\nx/one.mp4,a clip,0,1\nx/one.mp4,its rest,1,3\ny/two.png,an image,,\n'))
    dataset = CaptionedFiles(
        data_root=str(tmp_path), ann_file='list.csv.gz', data_prefix=dict(visual='media'), test_mode=True, indices=2,
        pipeline=[dict(type='LoadVideoFrames', num_frames=4), dict(type='ResizeCrop', size=16),
                  dict(type='PackRetrievalInputs')])
    assert [sample['data_samples'].item_id for sample in dataset] == ['x/one.mp4#0.0-1.0', 'x/one.mp4#1.0-3.0']
    assert [int(sample['data_samples'].frame_mask.sum()) for sample in dataset] == [1, 2]
    every = CaptionedFiles(data_root=str(tmp_path), ann_file='list.csv.gz', data_prefix=dict(visual='media'))
    assert every.items[2]['path'] == str(tmp_path / 'media/y/two.png')
    assert every.gallery == (3, 3)


def test_a_missing_file_shows_in_the_gallery(tmp_path):
    write_image(tmp_path / 'a.png')
    (tmp_path / 'a.jsonl').write_text('{"path": "a.png", "caption": "a"}\n{"path": "no/b.png", "caption": "b"}\n')
    with pytest.raises(DataError, match='1 of 2 items have no file .*no/b.png'):
        CaptionedFiles(data_root=str(tmp_path), ann_file='a.jsonl')
    assert CaptionedFiles(data_root=str(tmp_path), ann_file='a.jsonl', missing='skip').gallery == (1, 2)


def test_a_file_named_in_full_may_have_any_suffix(tmp_path):
    for name in ('a.gif', 'b.txt', 'b.mp4'):
        (tmp_path / name).touch()
    (tmp_path / 'a.jsonl').write_text('{"path": "a.gif", "caption": "a"}\n{"path": "b", "caption": "b"}\n')
    found = CaptionedFiles(data_root=str(tmp_path), ann_file='a.jsonl').items
    assert [item['path'] for item in found] == [f'{tmp_path}/a.gif', f'{tmp_path}/b.mp4']


def test_no_start_is_a_start_of_0(tmp_path):
    text = ('path,caption,start,end\na.mp4,one,,5\na.mp4,two,0,5.0\na.mp4,three,0.0,5\n'
            'b.mp4,four,0,\nb.mp4,five,,\na.mp4,six,,6\n')
    assert items(tmp_path, 'a.csv', text) == [
        dict(id='a.mp4#0.0-5.0', path='a.mp4', start=0.0, end=5.0, captions=['one', 'two', 'three']),
        dict(id='b.mp4', path='b.mp4', start=None, end=None, captions=['four', 'five']),
        dict(id='a.mp4#0.0-6.0', path='a.mp4', start=0.0, end=6.0, captions=['six'])]


@pytest.mark.parametrize('on_disk', ['NFC', 'NFD'])
def test_a_name_is_one_in_both_forms_of_unicode(tmp_path, on_disk):
    file, folder = normalize(on_disk, 'café.mp4'), normalize(on_disk, 'été')
    for path in (tmp_path / file, tmp_path / folder / file):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    lines = [dict(path=normalize(form, path), caption=f'{path} {form}')
             for path in ('café.mp4', 'café', 'été/café.mp4') for form in ('NFC', 'NFD')]
    (tmp_path / 'a.jsonl').write_text('\n'.join(map(json.dumps, lines)))
    found = CaptionedFiles(data_root=str(tmp_path), ann_file='a.jsonl').items
    assert [(item['id'], item['path'], item['captions']) for item in found] == [
        ('café.mp4', f'{tmp_path}/{file}', ['café.mp4 NFC', 'café.mp4 NFD']),
        ('café', f'{tmp_path}/{file}', ['café NFC', 'café NFD']),
        ('été/café.mp4', f'{tmp_path}/{folder}/{file}', ['été/café.mp4 NFC', 'été/café.mp4 NFD'])]


# ---- wrong ----

@pytest.mark.parametrize('name', ['x' * 300, f'sub/{"x" * 300}/b.mp4', '/'.join(['x' * 200] * 30), 'é' * 200])
def test_a_name_that_no_file_system_takes_is_a_missing_file(tmp_path, name):
    (tmp_path / 'a.jsonl').write_text(json.dumps(dict(path=name, caption='a')))
    with pytest.raises(DataError, match='1 of 1 items have no file') as error:
        CaptionedFiles(data_root=str(tmp_path), ann_file='a.jsonl')
    assert len(str(error.value)) < 600
    for options in (dict(ann_file=f'{name}.csv'), dict(ann_file='a.jsonl', data_prefix=dict(visual=name))):
        with pytest.raises(DataError, match='no such file'):
            CaptionedFiles(data_root=str(tmp_path), **options)


@pytest.mark.parametrize('line, message', [
    ('{"path": "b.mp4", "caption": ""}', 'empty caption'),
    ('{"path": "b.mp4", "caption": 7}', 'caption 7 is not text'),
    ('{"path": "b.mp4", "captions": []}', r'captions \[\] are not a list'),
    ('{"path": "b.mp4", "captions": "b"}', "captions 'b' are not a list"),
    ('{"path": "b.mp4", "capt', 'not JSON .*truncated file'),
    ('{"path": "b.mp4", "start": ' + '9' * 5000, 'not an annotation file'),
    ('{"path": "b.mp4", "caption": "a", "caption": "b"}', "the key 'caption' comes twice"),
    ('{"path": "b.mp4"}', 'has not "path" and either'),
    ('{"path": "b.mp4", "caption": "a", "captions": ["a"]}', 'has not "path" and either'),
    ('["b.mp4", "b"]', 'has not "path" and either'),
    ('{"path": "../b.mp4", "caption": "b"}', "path '../b.mp4' does not lead to a file below"),
    ('{"path": "/b.mp4", "caption": "b"}', "path '/b.mp4' does not lead"),
    ('{"path": "a\\\\b.mp4", "caption": "b"}', "does not lead"),
    ('{"path": 3, "caption": "b"}', "path 3 does not lead"),
    ('{"path": "b.mp4", "caption": "b", "start": -1}', 'start -1 is not a number of seconds'),
    ('{"path": "b.mp4", "caption": "b", "start": NaN}', 'start nan is not a number'),
    ('{"path": "b.mp4", "caption": "b", "end": true}', 'end True is not a number'),
    ('{"path": "b.mp4", "caption": "b", "end": 1' + '0' * 400 + '}', 'end 10+… is not a number'),
    ('{"path": "b.mp4", "caption": "b", "start": 3, "end": 3}', 'from 3.0 s to 3.0 s is no stretch'),
    ('{"path": "b.mp4", "caption": "b", "id": " "}', "id ' ' is neither a name"),
    ('{"path": "b.mp4", "caption": "b", "id": "../b"}', "id '../b' is neither a name"),
    ('{"path": "b.mp4", "caption": "b", "id": "a.mp4"}', "id 'a.mp4' is 'b.mp4' here and 'a.mp4' in .*line 1"),
    ('{"path": "b.mp4", "caption": "a bad \\ud83d emoji"}', r"caption 'a bad \\ud83d emoji' holds half a .*U\+D83D"),
    ('{"path": "b.mp4", "caption": "a bad \\udc80"}', r"holds half a surrogate pair"),
    ('{"path": "b.mp4", "caption": "o\\u0000ne"}', r"caption 'o\\x00ne' holds a NUL"),
    ('{"path": "b\\ud83d.mp4", "caption": "b"}', 'does not lead'),
    ('{"path": "b.mp4", "caption": "b", "id": "\\ud83d"}', 'is neither a name'),
    ('{"path": "a.mp4", "caption": "b", "id": "c"}', "'a.mp4' is item 'c' here and 'a.mp4' in .*line 1"),
])
def test_json_lines_wrong(tmp_path, line, message):
    with pytest.raises(DataError, match=f'a.jsonl, line 3: .*{message}'):
        items(tmp_path, 'a.jsonl', '{"path": "a.mp4", "caption": "a"}\n\n' + line + '\n')


@pytest.mark.parametrize('text, message', [
    ('path,text\na.mp4,a\n', 'a.csv: no column caption'),
    ('path,caption,caption\na.mp4,a,b\n', 'a column twice'),
    ('path,caption\na.mp4,\n', 'line 2: empty caption'),
    ('path,caption\na.mp4\n', 'line 2: not as many cells'),
    ('path,caption\na.mp4,a man, talking\n', 'line 2: not as many cells'),
    ('path,caption,start\na.mp4,a,soon\n', "line 2: start 'soon' is not a number"),
    ('path,caption,start,end\na.mp4,a,5,4\n', 'line 2: from 5.0 s to 4.0 s'),
    ('path,caption\n"a.mp4,a\n', 'not CSV'),
    ('', 'no column path, caption'),
])
def test_csv_wrong(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        items(tmp_path, 'a.csv', text)


def test_file_wrong(tmp_path):
    with pytest.raises(ConfigError, match=r"ann_file='.*a.txt' must be one of .jsonl .csv"):
        items(tmp_path, 'a.txt', '')
    with pytest.raises(ConfigError, match="ann_file='' must be one of"):
        CaptionedFiles(data_root=str(tmp_path))
    with pytest.raises(DataError, match='b.csv: no such file'):
        CaptionedFiles(data_root=str(tmp_path), ann_file='b.csv')
    with pytest.raises(DataError, match='no items in .*a.jsonl'):
        (tmp_path / 'a.jsonl').write_text('')
        CaptionedFiles(data_root=str(tmp_path), ann_file='a.jsonl')


# ---- there and back ----

LETTERS = st.characters(exclude_categories=['Cs'], exclude_characters='\0')
WORDS = st.text(LETTERS, min_size=1).map(str.strip).filter(bool)
NAMES = WORDS.map(partial(normalize, 'NFC')).map(str.strip).filter(bool).filter(
    lambda name: not set('/\\') & set(name) and name not in ('.', '..'))
PATHS = st.lists(NAMES, min_size=1, max_size=3).map('/'.join)
STARTS = st.none() | st.floats(0, 1e6)
CLIPS = st.tuples(PATHS, STARTS, st.none() | st.floats(1e-3, 1e6)).map(
    lambda clip: (clip[0], clip[1], clip[2] and (clip[1] or 0) + clip[2]))
ITEMS = st.dictionaries(CLIPS, st.lists(WORDS, min_size=1, max_size=3), min_size=1, max_size=5)
there_and_back = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def expected(table):
    clips = {}
    for (path, start, end), captions in table.items():
        start = start or (None if end is None else 0.0)
        clips.setdefault((path, start, end), []).extend(captions)
    return [(*clip, captions) for clip, captions in clips.items()]


def found(root, name, text):
    read = items(root, name, text)
    assert len({item['id'] for item in read}) == len(read)
    return [(item['path'], item['start'], item['end'], item['captions']) for item in read]


@there_and_back
@given(ITEMS, st.booleans())
def test_json_lines_round_trip(tmp_path, table, ascii_only):
    lines = [json.dumps(dict(path=path, start=start, end=end, captions=captions), ensure_ascii=ascii_only)
             for (path, start, end), captions in table.items()]
    assert found(tmp_path, 'a.jsonl', '\n'.join(lines)) == expected(table)


@there_and_back
@given(ITEMS)
def test_csv_round_trip(tmp_path, table):
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(['path', 'caption', 'start', 'end'])
    writer.writerows([path, caption, start, end] for (path, start, end), captions in table.items()
                     for caption in captions)
    assert found(tmp_path, 'a.csv', text.getvalue()) == expected(table)
