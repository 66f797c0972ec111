import pickle
from pathlib import Path

import pytest
from helpers.annotations import write_msrvtt, write_msvd
from helpers.media import write_video
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from mmcma.config import load_config
from mmcma.datasets import MSRVTT, MSVD, RetrievalDataset
from mmcma.registry import DATASETS
from mmcma.utils.errors import ConfigError, DataError, MediaError

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / '_base_' / 'datasets'
PIPELINE = [dict(type='LoadVideoFrames', num_frames=2), dict(type='ResizeCrop', size=16),
            dict(type='PackRetrievalInputs')]


class Clips(RetrievalDataset):
    """Items given by the test."""

    def __init__(self, items, **kwargs):
        self._given = items
        super().__init__(**kwargs)

    def load_data_list(self):
        return self._given


def clips(tmp_path, broken=(), counts=(2, 1, 3)):
    items = []
    for number, count in enumerate(counts):
        path = tmp_path / f'{number}.mp4'
        write_video(path, num_frames=12) if number not in broken else path.write_text('no video')
        items.append(dict(id=f'clip{number}', path=str(path),
                          captions=[f'{number}-{k}' for k in range(count)],
                          caption_kinds=[f'kind{k}' for k in range(count)]))
    return items


@pytest.mark.parametrize('serialize_data', [True, False])
def test_pairs_in_training_items_in_test(tmp_path, serialize_data):
    items = clips(tmp_path)
    train = Clips(items, serialize_data=serialize_data)
    pairs = [(info['item_index'], info['captions'], info['caption_kinds'])
             for info in (train.get_data_info(i) for i in range(len(train)))]
    assert pairs == [(0, ['0-0'], ['kind0']), (0, ['0-1'], ['kind1']), (1, ['1-0'], ['kind0']),
                     (2, ['2-0'], ['kind0']), (2, ['2-1'], ['kind1']), (2, ['2-2'], ['kind2'])]
    assert train.get_data_info(-1)['captions'] == ['2-2']
    with pytest.raises(IndexError):
        train.get_data_info(6)

    test = Clips(clips(tmp_path), test_mode=True, serialize_data=serialize_data)
    assert len(test) == 3 and test.num_captions == 6 and test.gallery == (3, 3)
    assert test.get_data_info(2)['captions'] == ['2-0', '2-1', '2-2']
    assert [item['id'] for item in test.items] == ['clip0', 'clip1', 'clip2']
    assert test.metainfo == dict(dataset='Clips', split='')


def test_items_cannot_be_changed(tmp_path):
    dataset = Clips(clips(tmp_path), serialize_data=False)
    dataset.items[0]['captions'].append('new')
    dataset.get_data_info(0)['captions'].append('new')
    assert dataset.items[0]['captions'] == ['0-0', '0-1']


def test_subsets_count_in_items(tmp_path):
    assert len(Clips(clips(tmp_path), indices=2)) == 3
    dataset = Clips(clips(tmp_path))
    subset = dataset.get_subset([2])
    assert (len(subset), len(subset.items), subset.get_data_info(0)['item_index']) == (3, 1, 0)
    dataset.get_subset_(1)
    assert len(dataset) == 2 and dataset.gallery == (1, 3)


def test_lazy(tmp_path):
    dataset = Clips(clips(tmp_path), lazy_init=True)
    assert dataset.data_list == [] and len(dataset) == 6


def test_through_a_data_loader(tmp_path):
    dataset = Clips(clips(tmp_path), pipeline=PIPELINE, test_mode=True)
    loader = DataLoader(dataset, batch_size=2, num_workers=1, collate_fn=pseudo_collate)
    batches = list(loader)
    assert [len(batch['inputs']) for batch in batches] == [2, 1]
    assert batches[0]['inputs'][0].shape == (2, 3, 16, 16)
    assert batches[1]['data_samples'][0].captions == ['2-0', '2-1', '2-2']


def test_broken_file_in_test_is_raised(tmp_path):
    dataset = Clips(clips(tmp_path, broken=[1]), pipeline=PIPELINE, test_mode=True)
    assert dataset[0]['data_samples'].item_id == 'clip0'
    with pytest.raises(MediaError, match=r"Clips, item 'clip1': .*1\.mp4: cannot be read"):
        dataset[1]


@pytest.fixture
def warned(monkeypatch):
    """Messages that the data sets log."""
    messages = []
    monkeypatch.setattr('mmcma.datasets.retrieval_dataset.print_log',
                        lambda message, **kwargs: messages.append(message))
    return messages


def test_broken_file_in_training_is_replaced(tmp_path, warned):
    dataset = Clips(clips(tmp_path, broken=[0, 1]), pipeline=PIPELINE)
    captions = [dataset[i]['data_samples'].captions[0] for i in range(len(dataset))]
    assert captions == ['2-0', '2-0', '2-0', '2-0', '2-1', '2-2']
    assert len(warned) == 2  # each broken file is opened once
    assert "item 'clip0'" in warned[0] and '(2 unreadable in this process so far)' in warned[1]
    # The replacement does not depend on what was read before.
    fresh = Clips(clips(tmp_path, broken=[0, 1]), pipeline=PIPELINE)
    assert fresh[1]['data_samples'].captions == ['2-0']
    strict = Clips(clips(tmp_path, broken=[0, 1]), pipeline=PIPELINE, on_error='raise')
    with pytest.raises(MediaError):
        strict[0]


@pytest.mark.parametrize('options', [{}, dict(on_error='raise'), dict(test_mode=True)])
def test_iteration_ends(tmp_path, options):
    dataset = Clips(clips(tmp_path), pipeline=[lambda item: item], **options)
    assert [item['sample_idx'] for item in dataset] == list(range(len(dataset)))
    assert dataset[-1]['sample_idx'] == len(dataset) - 1
    for idx in (len(dataset), -len(dataset) - 1):
        with pytest.raises(IndexError):
            dataset[idx]


def test_no_readable_file(tmp_path, warned):
    dataset = Clips(clips(tmp_path, broken=[0, 1, 2]), pipeline=PIPELINE)
    with pytest.raises(MediaError, match='none of its 3 items can be read'):
        dataset[0]
    dataset = Clips(clips(tmp_path, broken=[0, 1, 2]), pipeline=PIPELINE, max_refetch=2)
    with pytest.raises(MediaError, match='2 unreadable items in a row, giving up'):
        dataset[0]


@pytest.mark.parametrize('change, message', [
    (dict(captions=[]), "item 'x': 0 captions"), (dict(start=3.0, end=3.0), 'from 3.0 s to 3.0 s'),
    (dict(start=-1.0), 'from -1.0 s'), (dict(caption_kinds=['a', 'b']), '1 captions for 2 caption kinds')])
def test_impossible_items(change, message):
    with pytest.raises(DataError, match=message):
        Clips([{**dict(id='x', path='x.mp4', captions=['a']), **change}])


def test_ids_are_unique():
    with pytest.raises(DataError, match="item 'x': the id comes twice"):
        Clips([dict(id='x', path='x.mp4', captions=['a'])] * 2)
    with pytest.raises(DataError, match='no items'):
        Clips([])


@pytest.mark.parametrize('options, message', [
    (dict(split='train9k'), "split='train9k' is none of .* Did you mean 'train-9k'"),
    (dict(missing='ignore'), "missing='ignore' is none of"),
    (dict(on_error='skip'), "on_error='skip' is none of"),
    (dict(on_error='resample', test_mode=True), 'would put another item twice')])
def test_options(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        MSRVTT(**{'split': 'train-9k', 'data_root': str(tmp_path), **options})


def test_missing_files(tmp_path, warned):
    root = str(write_msrvtt(tmp_path))
    for number in (0, 2, 3, 4):
        (tmp_path / 'videos' / f'video{number}.mp4').unlink()
    with pytest.raises(DataError, match=r'4 of 5 items have no file in .*videos or below, e.g. video0, video2, '):
        MSRVTT(split='train-9k', data_root=root)
    dataset = MSRVTT(split='train-9k', data_root=root, missing='skip')
    assert dataset.gallery == (1, 9000) and dataset.items[0]['id'] == 'video1'
    assert any('4 of 5 items have no file' in message for message in warned)
    (tmp_path / 'videos' / 'video1.mp4').unlink()
    with pytest.raises(DataError, match='5 of 5 items'):  # nothing to go on with
        MSRVTT(split='train-9k', data_root=root, missing='skip')


def test_missing_folders_say_the_layout(tmp_path):
    with pytest.raises(DataError, match="data_root 'nowhere' is not a folder; MSRVTT train-9k expects "
                                        'nowhere/MSRVTT_data.json .*nowhere/videos/video0.mp4'):
        MSRVTT(split='train-9k', data_root='nowhere')
    write_msrvtt(tmp_path)
    with pytest.raises(DataError, match='clips: no such file or folder; .*clips/video0.mp4'):
        MSRVTT(split='train-9k', data_root=str(tmp_path), data_prefix=dict(visual='clips'))
    (tmp_path / 'MSRVTT_train.9k.csv').unlink()
    with pytest.raises(DataError, match='MSRVTT_train.9k.csv: no such file') as caught:
        MSRVTT(split='train-9k', data_root=str(tmp_path))
    assert '\n' not in str(caught.value)


def test_folders_elsewhere(tmp_path, warned):
    write_msvd(tmp_path / 'msvd')
    (tmp_path / 'msvd/videos').rename(tmp_path / 'clips')
    dataset = MSVD(split='train', data_root=str(tmp_path), data_prefix=dict(ann='msvd', visual='clips'))
    assert dataset.items[0]['path'] == str(tmp_path / 'clips/-4wsuPCjDBc_5_15.avi')


def test_files_are_found_by_id(tmp_path, warned):
    root = write_msrvtt(tmp_path)
    videos = root / 'videos'
    (videos / 'video0.mp4').rename(videos / 'video0.WEBM')
    (videos / 'video1.avi').touch()
    (videos / 'video2.mp4').unlink()
    (videos / 'video2').mkdir()
    (videos / 'video3').mkdir()
    (videos / 'video3.txt').touch()
    dataset = MSRVTT(split='train-9k', data_root=str(root))
    names = [item['path'].rsplit('/', 1)[1] for item in dataset.items]
    assert names == ['video0.WEBM', 'video1.mp4', 'video2', 'video3.mp4', 'video4.mp4']


def test_another_split_in_the_place_of_this_one(tmp_path, warned, monkeypatch):
    from mmcma.datasets.retrieval_dataset import SplitSize
    root = write_msrvtt(tmp_path)
    monkeypatch.setattr(MSRVTT, 'SPLITS', {'train-9k': SplitSize(5, 10), 'train-7k': SplitSize(4, 8)})
    MSRVTT(split='train-9k', data_root=str(root))
    assert warned == []
    (root / 'MSRVTT_train.9k.csv').write_text((root / 'MSRVTT_train.7k.csv').read_text())
    with pytest.raises(DataError, match="lists 4 items and 8 captions; the published split has 5 and 10. "
                                        "It is the size of 'train-7k'"):
        MSRVTT(split='train-9k', data_root=str(root))
    assert MSRVTT(split='train-9k', data_root=str(root), missing='skip').gallery == (4, 5)
    assert 'the published split has 5 and 10' in warned[0]


def test_configs_build_and_children_change_them(tmp_path, warned):
    root = write_msrvtt(tmp_path / 'data')
    (tmp_path / 'child.py').write_text(
        f"_base_ = ['{CONFIGS / 'msrvtt.py'}']\n"
        'pipeline = _base_.pipeline\n'
        'pipeline[0].update(num_frames=64)\n'
        'pipeline[1].update(size=336)\n')
    config = load_config(tmp_path / 'child.py')
    config.train_dataloader.dataset.data_root = str(root)
    dataset = DATASETS.build(config.train_dataloader.dataset)
    assert [repr(step) for step in dataset.pipeline.transforms][:2] == [
        "LoadVideoFrames(num_frames=64, fps=1.0, sampling='clip4clip', backend='auto', folder_fps=1.0, timeout=60.0)",
        'ResizeCrop(size=336)']
    assert len(dataset) == 10 and pickle.loads(pickle.dumps(dataset)).items[0]['id'] == 'video0'


@pytest.mark.parametrize('name', ['msrvtt', 'msvd', 'flickr8k'])
def test_data_set_configs(name):
    config = Config.fromfile(CONFIGS / f'{name}.py')
    for part, test_mode in (('train', False), ('val', True), ('test', True)):
        loader = config[f'{part}_dataloader']
        assert loader.dataset.get('test_mode', False) == test_mode
        with pytest.raises(DataError, match=f"data_root 'data/{name}' is not a folder|no such file"):
            DATASETS.build(loader.dataset)
