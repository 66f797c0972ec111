"""Exported folders, galleries and data files that name or hold code."""
import json
import pickle
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from PIL import Image

from campaigns import _payloads as payloads
from mmcma.apis import RetrievalInferencer, export_adapter, init_model
from mmcma.checkpoints.torchscript import read_torchscript
from mmcma.cli.main import main
from mmcma.datasets import MSVD
from mmcma.datasets.video.cache import FrameCache
from mmcma.models.backbones.pretrained import BUNDLED
from mmcma.registry import MODELS
from mmcma.search.manifest import FORM, GalleryManifest

#: Writes a hostile file for a trial: its folder, the mark that code would leave, and the source of chance. Gives what
#: was done, and what reads the file.
Make = Callable[[Path, Path, random.Random], tuple[str, Callable[[], object]]]

TINY = 'mmcma/clip-tiny-glyphs'


def plain_adapter(folder: Path) -> Path:
    """An exported folder as it should be."""
    pipeline = [dict(type='LoadImage'), dict(type='ResizeCrop', size=64), dict(type='PackRetrievalInputs')]
    config = Config(dict(
        model=dict(
            type='CrossModalRetriever', data_preprocessor=dict(type='RetrievalDataPreprocessor'),
            vision_backbone=dict(type='HFVisionTower', pretrained=TINY),
            text_backbone=dict(type='HFTextTower', pretrained=TINY),
            neck=dict(type='CrossModalAdapter', bottleneck_dim=2, shared_dim=4),
            head=dict(type='RetrievalHead', similarity=dict(type='QueryScore'), loss=dict(type='SymmetricInfoNCE'))),
        test_dataloader=dict(dataset=dict(type='CaptionedFiles', pipeline=pipeline))))
    model = MODELS.build(config.model)
    model.cfg = config
    export_adapter(model, folder)
    return folder


def folders(adapter: Path) -> Iterator[tuple[str, Make]]:
    """Exported folders with every edit of :func:`_edits`."""
    for name in _edits({}, Path(), Path()):
        yield 'folder', _folder_with(adapter, name)


def _folder_with(adapter: Path, name: str) -> Make:
    def make(trial: Path, mark: Path, generator: random.Random) -> tuple[str, Callable[[], object]]:
        folder = trial / 'adapter'
        shutil.copytree(adapter, folder)
        content = json.loads((folder / 'adapter_config.json').read_text())
        _edits(content, trial, mark)[name]()
        (folder / 'adapter_config.json').write_text(json.dumps(content))
        use = generator.choice(['info', 'search'])
        return f'{name}, {use}', lambda: main(['info', str(folder)]) if use == 'info' else _search_with(folder)
    return make


def _search_with(folder: Path) -> None:
    Image.new('RGB', (64, 64)).save(folder.parent / 'a.png')
    RetrievalInferencer(init_model(folder, device='cpu')).encode_visual([str(folder.parent / 'a.png')])


def _edits(content: dict, trial: Path, mark: Path) -> dict[str, Callable[[], object]]:
    """Ways to make ``adapter_config.json`` lead to code, by name."""
    module, config = payloads.MODULE, content.get('config', {})
    model = config.get('model', {})
    places = {'model': model, **{name: model.get(name, {}) for name in ('neck', 'head', 'vision_backbone')},
              'similarity': model.get('head', {}).get('similarity', {}),
              'step': config.get('test_dataloader', {}).get('dataset', {}).get('pipeline', [{}, {}])[1]}
    edits: dict[str, Callable[[], object]] = {}
    for place, node in places.items():
        for key, value in (('type', module), ('type', f'{module}.Part'), ('type', 'os.mkdir'), ('_scope_', module),
                           ('init_cfg', dict(type='Pretrained', checkpoint=str(trial / 'evil.pth')))):
            edits[f'{place}.{key} {value if key == "type" else ""}'] = (
                lambda node=node, key=key, value=value: node.update({key: value}))
    towers = [model.get(name, {}) for name in ('vision_backbone', 'text_backbone')]

    def pretrained(write: Callable[[Path], object], **more: object) -> Callable[[], object]:
        def edit() -> None:
            write(_model_folder(trial / 'hf'))
            for tower in towers:
                tower.update(pretrained=str(trial / 'hf'), **more)
        return edit
    program = f"import os\nos.makedirs({str(mark)!r}, exist_ok=True)\nC = M = T = dict\n"
    return {
        **edits, 'custom_imports': lambda: config.update(custom_imports=dict(imports=[module])),
        'default_scope': lambda: config.update(default_scope=module),
        'requires': lambda: content.update(requires=[module]),
        '_base_': lambda: config.update(_base_=[str(trial / 'base.py')]),
        'attention of a Hub': lambda: towers[0].update(attn_implementation=f'{module}/kernel'),
        'model of a Hub with code': pretrained(lambda folder: _auto_map(folder, program)),
        'trust_remote_code': pretrained(lambda folder: _auto_map(folder, program), trust_remote_code=True),
        'pickled backbone': pretrained(lambda folder: _pickled_weights(folder, mark))}


def _model_folder(folder: Path) -> Path:
    return Path(shutil.copytree(BUNDLED[TINY], folder))


def _auto_map(folder: Path, program: str) -> None:
    """A model of a Hub whose classes are in a file beside it."""
    (folder / 'code.py').write_text(program)
    for name, classes in (('config.json', dict(AutoConfig='code.C', AutoModel='code.M')),
                          ('tokenizer_config.json', dict(AutoTokenizer=['code.T', 'code.T']))):
        fields = json.loads((folder / name).read_text())
        fields.update(auto_map=classes)
        (folder / name).write_text(json.dumps(fields))


def _pickled_weights(folder: Path, mark: Path) -> None:
    for file in folder.glob('*.safetensors'):
        file.unlink()
    torch.save(dict(x=payloads.calls(mark)['mkdir']), folder / 'pytorch_model.bin')


def galleries() -> Iterator[tuple[str, Make]]:
    """Galleries that name a model which is a program or a pickle."""
    for model, checkpoint in (('config.py', None), ('evil.pth', None), ('config.py', 'evil.pth'), (TINY, 'evil.pth'),
                              ('no/../config.py', None), ('hf', None)):
        yield 'gallery', _gallery_with(model, checkpoint)


def _gallery_with(model: str, checkpoint: str | None) -> Make:
    def make(trial: Path, mark: Path, generator: random.Random) -> tuple[str, Callable[[], object]]:
        torch.save(payloads.hidden(payloads.calls(mark)['mkdir'])['an entry of its own'], trial / 'evil.pth')
        _auto_map(_model_folder(trial / 'hf'), f'import os\nos.makedirs({str(mark)!r})\n')
        named = dict(model=model if model == TINY else str(trial / model),
                     checkpoint=checkpoint and str(trial / checkpoint))
        GalleryManifest(FORM, '/etc', **named, fingerprint='0' * 32, rows=1).write(str(trial / 'gallery'))
        return f'{model} {checkpoint or ""}', lambda: main(['search', str(trial / 'gallery'), 'a dog'])
    return make


def data(root: Path) -> Iterator[tuple[str, Make]]:
    """Files of data that are pickles or programs: captions, caches, studies, TorchScript."""
    def captions(trial: Path, mark: Path, generator: random.Random) -> tuple[str, Callable[[], object]]:
        (trial / 'videos').mkdir()
        (trial / 'val_list.txt').write_text('a\n')
        kind, call = generator.choice([*payloads.calls(mark).items()])
        (trial / 'raw-captions.pkl').write_bytes(pickle.dumps({'a': [['x']], 'b': call}))
        return kind, lambda: MSVD(split='val', data_root=str(trial), missing='skip')

    def cache(trial: Path, mark: Path, generator: random.Random) -> tuple[str, Callable[[], object]]:
        (trial / 'manifest.json').write_text(json.dumps(dict(
            settings={}, num_frames=1, size=2, quality=None, config='x')))
        found = FrameCache(trial)
        found.path('a').parent.mkdir(parents=True, exist_ok=True)
        with open(found.path('a'), 'wb') as file:
            np.save(file, np.array([payloads.calls(mark)['exec']], dtype=object), allow_pickle=True)
        return 'objects as frames', lambda: found.read('a')

    def study(trial: Path, mark: Path, generator: random.Random) -> tuple[str, Callable[[], object]]:
        from study import read_study
        (trial / 's.yml').write_text(f"!!python/object/apply:os.mkdir ['{mark}']\n")
        return 'a call in YAML', lambda: read_study(trial / 's.yml')
    yield from (('captions of MSVD', captions), ('frame cache', cache), ('study', study))
    yield 'TorchScript', _torchscript


def _torchscript(trial: Path, mark: Path, generator: random.Random) -> tuple[str, Callable[[], object]]:
    torch.jit.script(payloads.Writes(str(mark))).save(trial / 'evil.pt')
    return 'a program that writes', lambda: read_torchscript(trial / 'evil.pt')
