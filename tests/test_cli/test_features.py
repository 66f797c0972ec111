"""Embeddings as files: what they are, in one process and in two, and after an interruption."""
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.commands import run
from helpers.processes import together
from helpers.tiny_run import NoiseClips, write_config
from safetensors.torch import load_file

from mmcma.apis import features, init_model

ITEMS = 11
OPTIONS = ['--cfg-options', f'test_dataloader.dataset.size={ITEMS}']
FILES = ('visual', 'frame_mask', 'text', 'caption_item')


@pytest.fixture(scope='module')
def trained(tiny_clip, tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp('trained')
    config = write_config(folder, tiny_clip, epochs=1)
    assert run('train', config, '--work-dir', folder / 'work') == 0
    return config, folder / 'work' / 'best.pth'


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(features, 'ITEMS_OF_PART', 3)


def read(folder: Path) -> dict[str, np.ndarray]:
    assert {path.name for path in folder.iterdir()} == {'features.json', *(f'{name}.npy' for name in FILES)}
    return {name: np.load(folder / f'{name}.npy') for name in FILES}


def extracted(config: Path, checkpoint: Path, out: Path, *options) -> int:
    features.ITEMS_OF_PART = 3
    return run('features', config, checkpoint, '--out', out, *OPTIONS, *options)


@pytest.fixture(scope='module')
def whole(trained, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp('whole') / 'out'
    assert extracted(*trained, out) == 0
    return out


def test_they_are_what_the_model_says(trained, whole):
    arrays, facts = read(whole), json.loads((whole / 'features.json').read_text())
    assert facts['ids'] == [f'clip{n}' for n in range(ITEMS)]
    assert arrays['caption_item'].tolist() == [n // 2 for n in range(2 * ITEMS)]
    model = init_model(*map(str, trained))
    clips = NoiseClips(size=ITEMS, seed=3, test_mode=True)
    for number in range(ITEMS):
        clip = clips[number]
        mask = clip['data_samples'].frame_mask
        assert arrays['frame_mask'][number].tolist() == mask.tolist()
        with torch.no_grad():
            visual = model.encode_visual(clip['inputs'][None], mask[None]).tokens[0]
            text = model.encode_text(clip['data_samples'].captions).pooled
        torch.testing.assert_close(torch.from_numpy(arrays['visual'][number])[mask], visual[mask])
        torch.testing.assert_close(torch.from_numpy(arrays['text'][2 * number:2 * number + 2]), text)
        assert facts['captions'][2 * number:2 * number + 2] == clip['data_samples'].captions


@pytest.mark.slow
def test_two_processes_give_the_same_as_one(trained, whole, tmp_path):
    assert together(extracted, *trained, tmp_path / 'out', '--launcher', 'pytorch') == [0, 0]
    one, two = read(whole), read(tmp_path / 'out')
    assert all(np.array_equal(one[name], two[name]) for name in FILES)
    assert (whole / 'features.json').read_text() == (tmp_path / 'out' / 'features.json').read_text()


def test_it_goes_on_where_it_stopped(trained, whole, tmp_path, monkeypatch, capfd):
    out, encoded, save = tmp_path / 'out', [], features.save

    def stopping(*args):
        if len(encoded) == 2:
            raise KeyboardInterrupt
        encoded.append(args)
        return save(*args)
    monkeypatch.setattr(features, 'save', stopping)
    assert extracted(*trained, out) == 130
    assert {path.name for path in (out / 'parts').iterdir()} == {
        'origin.json', '000000.safetensors', '000001.safetensors'}
    monkeypatch.setattr(features, 'save', lambda *args: encoded.append(args) or save(*args))
    assert extracted(*trained, out) == 0
    assert len(encoded) == 4  # of 4 parts, of which 2 were there
    assert all(np.array_equal(read(whole)[name], read(out)[name]) for name in FILES)
    assert extracted(*trained, out) == 0 and 'nothing to do' in capfd.readouterr().out


def test_zero_shot_as_safetensors(trained, whole, tmp_path):
    out = tmp_path / 'out'
    assert run('features', trained[0], '--out', out, '--format', 'safetensors', *OPTIONS) == 0
    arrays = load_file(out / 'features.safetensors')
    assert set(arrays) == set(FILES) and arrays['visual'].shape == read(whole)['visual'].shape
    assert not np.allclose(arrays['visual'], read(whole)['visual'])


def test_a_folder_of_something_else_is_refused(trained, whole, tmp_path, capfd):
    config, checkpoint = trained
    assert run('features', config, '--out', whole, *OPTIONS) == 2
    assert 'has features of another checkpoint' in capfd.readouterr().err
    (tmp_path / 'notes.txt').write_text('mine')
    assert extracted(config, checkpoint, tmp_path) == 2
    assert 'is not empty and has no features' in capfd.readouterr().err
