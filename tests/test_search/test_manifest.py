"""What a gallery may say, and which model it may choose."""
import json
from dataclasses import replace

import pytest
from helpers.checkpoints import retrieval_config, trained_checkpoint

from mmcma.apis import export_adapter, init_model
from mmcma.search import gallery, open_gallery
from mmcma.search.manifest import FORM, GalleryManifest, read_manifest
from mmcma.utils.errors import ConfigError, DataError

PLAIN = GalleryManifest(FORM, root='/videos', model='tiny', checkpoint=None, fingerprint='f' * 32, rows=3)


def write(folder, **changes):
    replace(PLAIN, **changes).write(str(folder))
    return folder


@pytest.mark.parametrize('model, checkpoint', [
    ('config.py', None), ('best.pth', None), ('weights.pt', None), ('config.py', 'best.pth'), ('tiny', 'best.pth')])
def test_a_config_or_a_checkpoint_is_for_the_user_to_name(tmp_path, monkeypatch, model, checkpoint):
    """A stranger's gallery would choose what is run."""
    named = str(tmp_path / model) if model != 'tiny' else model
    (tmp_path / 'config.py').write_text(f"import os\nos.mkdir({str(tmp_path / 'it_ran')!r})\n")
    write(tmp_path, model=named, checkpoint=checkpoint)
    with pytest.raises(ConfigError, match=f'--model {named}' + (f' --checkpoint {checkpoint}' if checkpoint else '')):
        open_gallery(tmp_path)
    assert not (tmp_path / 'it_ran').exists()
    asked = []
    monkeypatch.setattr(gallery, 'init_model', lambda *args: asked.append(args))
    monkeypatch.setattr(gallery, 'RetrievalInferencer', lambda model: model)
    monkeypatch.setattr(gallery, 'Gallery', lambda uri, inferencer, manifest: uri)
    assert open_gallery(tmp_path, model=named, checkpoint=checkpoint) == tmp_path
    assert asked == [(named, checkpoint, None)]


def test_names_of_the_hub_and_exported_folders_are_data(tmp_path, tiny_clip):
    folder = tmp_path / 'adapter.py'  # a folder, whatever it is called
    export_adapter(init_model(trained_checkpoint(tmp_path, retrieval_config(tiny_clip)), device='cpu'), folder)
    for model in ('tiny', 'openai/clip-vit-base-patch32', tiny_clip, str(folder)):
        read_manifest(str(write(tmp_path, model=model))).check_model(str(tmp_path))


def test_another_form(tmp_path):
    with pytest.raises(DataError, match='of version 3, and this program reads version 2'):
        read_manifest(str(write(tmp_path, form=3)))


@pytest.mark.parametrize('content, command', [
    (dict(root='/videos', model='tiny', checkpoint=None), 'mmcma index /videos --model tiny --out {}.new'),
    (dict(root='/v', model='c.py', checkpoint='b.pth'), 'mmcma index /v --model c.py --checkpoint b.pth --out {}.new'),
    ([], 'mmcma index FOLDER --model MODEL --out {}.new')])
def test_a_gallery_of_before_is_answered_with_the_command_that_makes_the_new_one(tmp_path, content, command):
    (tmp_path / 'gallery.json').write_text(json.dumps(content))
    with pytest.raises(DataError, match='earlier version') as raised:
        read_manifest(str(tmp_path))
    assert str(raised.value).endswith(command.format(tmp_path))
