"""Training steps of every method and every head that has a config for the small CLIP on GlyphMotion."""
from pathlib import Path

import pytest
import torch
from helpers.small_configs import CONFIGS, each
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope

from mmcma.config import check_config, load_config
from mmcma.models.trained_state import trained_names
from mmcma.registry import MODELS
from mmcma.structures import RetrievalSample

PATHS = sorted(CONFIGS.glob('*/*_tiny_glyphmotion*.py'))
TRAINED = [path for path in PATHS if path.parent.name != 'zeroshot']
CAPTIONS = ['a red star moves left', 'the blue moon grows', 'a snowman, then a king', 'an airplane turns']


def batch(size: int) -> dict:
    generator = torch.Generator().manual_seed(0)
    samples = []
    for index, caption in enumerate(CAPTIONS[:size]):
        sample = RetrievalSample(metainfo=dict(item_id=f'clip{index}', item_index=index, captions=[caption]))
        sample.frame_mask = torch.arange(8) < (6 if index == 1 else 8)
        sample.frame_captions = [f'{caption} on the left', 'nothing'] * 4
        samples.append(sample)
    frames = [torch.randint(0, 256, (8, 3, 64, 64), dtype=torch.uint8, generator=generator) for _ in samples]
    return dict(inputs=frames, data_samples=samples)


def build(path: Path):
    cfg = load_config(path)
    check_config(cfg)
    torch.manual_seed(0)
    return cfg, MODELS.build(cfg.model)


# STOP's networks of pixels make its steps ten times as long.
@pytest.mark.parametrize('path', [pytest.param(*own.values, id=own.id, marks=pytest.mark.slow)
                                  if own.id.startswith('stop') else own for own in each(TRAINED)])
def test_three_steps_change_what_trains_and_nothing_else(path):
    cfg, model = build(path)
    model.train()
    with DefaultScope.overwrite_default_scope('mmcma'):
        optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    # Behind two zero-initialised products, as in MV-Adapter, a weight first moves in the third step.
    losses = [model.train_step(batch(2), optim_wrapper)['loss'].item() for _ in range(3)]
    assert all(torch.isfinite(torch.tensor(losses)))
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed <= set(trained_names(model))
    unchanged = {name for name, parameter in model.trainable_parameters().items() if name not in changed}
    assert not unchanged, sorted(unchanged)


@pytest.mark.parametrize('path', each(PATHS))
def test_a_text_against_a_clip_has_one_score_whatever_else_is_scored(path):
    """Tile by tile, with masked frames: what the metric does with every method and head."""
    _, model = build(path)
    model.eval()
    data = model.data_preprocessor(batch(4))
    with torch.no_grad():
        visual = model._encode_pixels(data['inputs']['pixels'], data['inputs']['mask'])
        text = model.encode_text(CAPTIONS)
        whole = model.similarity(text, visual)
        tile = model.similarity(text.rows(slice(1, 3)), visual.rows(slice(0, 2)))
    assert whole.shape == (4, 4) and whole.dtype == torch.float32
    torch.testing.assert_close(tile, whole[1:3, :2])
