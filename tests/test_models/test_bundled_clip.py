"""The small CLIP that the package carries."""
from pathlib import Path

import pytest
import torch
from helpers.clip import TOKENIZER, clip_config, model_config
from helpers.imports import import_file
from mmengine.dataset import pseudo_collate

from mmcma.datasets import GlyphPictures
from mmcma.evaluation import rank_metrics, retrieval_ranks
from mmcma.models.backbones.pretrained import BUNDLED

FOLDER = BUNDLED['mmcma/clip-tiny-glyphs']


def test_it_is_small_and_a_standard_folder():
    from transformers import CLIPModel
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 8e6
    assert (FOLDER / 'model.safetensors').is_file()
    assert next(CLIPModel.from_pretrained(FOLDER).parameters()).dtype == torch.float16


def test_it_finds_500_clean_images_by_their_distinct_captions(build):
    model = build(model_config('mmcma/clip-tiny-glyphs', neck=None)).eval()
    images = GlyphPictures(length=500, test_mode=True)
    data = model.data_preprocessor(pseudo_collate([images[number] for number in range(500)]))
    with torch.no_grad():
        ranks = retrieval_ranks(model.similarity(*model(**data, mode='tensor')), range(500))
    assert rank_metrics(ranks.t2v)['R@1'] > 85 and rank_metrics(ranks.v2t)['R@1'] > 85


def test_no_text_meets_the_unknown_token(build):
    """It would be the end token, and pooling would stop there."""
    tokenizer = build(model_config('mmcma/clip-tiny-glyphs', neck=None)).text_backbone.tokenizer
    for text in ['Onions, quickly!', 'un café déjà vu', 'Straße 日本 ☂ 😀', '"quoted" (100%) a/b\\c', 'x' * 50]:
        ids = tokenizer(text).input_ids
        assert ids.count(tokenizer.eos_token_id) == 1 and ids[-1] == tokenizer.eos_token_id, text


def test_exported_backbone_reads_back_the_same(build, tmp_path):
    from mmcma.engine.hooks.export_backbone_hook import export_backbone
    config = model_config('', neck=None)
    config['vision_backbone'] = dict(type='HFVisionTower', config=clip_config(), trainable=True)
    config['text_backbone'] = dict(type='HFTextTower', config=clip_config(), tokenizer=TOKENIZER, trainable=True)
    scratch = build(config).eval()
    frames = torch.randint(0, 256, (2, 1, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        text = scratch.encode_text(['a red star', 'snow']).pooled
        export_backbone(scratch, tmp_path)
        exported = build(model_config(str(tmp_path), neck=None)).eval()
        torch.testing.assert_close(exported.encode_text(['a red star', 'snow']).pooled, text, atol=5e-3, rtol=1e-2)
        torch.testing.assert_close(exported.encode_visual(frames).pooled, scratch.encode_visual(frames).pooled,
                                   atol=5e-3, rtol=1e-2)
    assert (tmp_path / 'tokenizer.json').read_text() == (FOLDER / 'tokenizer.json').read_text()


@pytest.mark.slow
def test_the_tokenizer_is_what_its_tool_makes(tmp_path, monkeypatch):
    import json
    import sys
    tool = Path(__file__).parents[2] / 'tools' / 'model_converters' / 'train_tokenizer.py'
    monkeypatch.setattr(sys, 'argv', ['train_tokenizer.py', str(tmp_path)])
    import_file(tool).main()
    made, carried = (json.loads((folder / 'tokenizer.json').read_text()) for folder in (tmp_path, FOLDER))
    # Equally frequent pairs are merged in any order by the library, so ids may differ; the pieces do not.
    assert set(made['model']['vocab']) == set(carried['model']['vocab'])


def test_only_a_clip_is_exported(build, tmp_path):
    """Refused before anything is trained, by the name of the tower that is something else."""
    from types import SimpleNamespace

    from mmcma.engine.hooks.export_backbone_hook import ExportBackboneHook
    from mmcma.utils.errors import ConfigError
    model = build(model_config('mmcma/clip-tiny-glyphs', neck=None))
    hook = ExportBackboneHook(folder='clip')
    hook.before_run(SimpleNamespace(model=model))
    model.text_backbone.encoder.config.model_type = 'siglip_text_model'
    with pytest.raises(ConfigError, match="model.text_backbone is 'siglip_text_model'; leave the hook out"):
        hook.before_run(SimpleNamespace(model=model))
