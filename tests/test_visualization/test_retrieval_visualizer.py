"""What was found and where it was looked for: against plain formulas, transformers' own attention, and the images."""
import runpy
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.architectures import write_dual
from helpers.clip import model_config
from matplotlib.colors import to_rgb
from mmengine.config import Config
from PIL import Image
from torch.nn import functional as F

from mmcma.config import check_config
from mmcma.models import QueryScore
from mmcma.registry import VISUALIZERS
from mmcma.structures import Features
from mmcma.utils.errors import ConfigError
from mmcma.visualization.page import RIGHT, WRONG
from mmcma.visualization.patch_attention import draw_patch_attention, patch_attention
from mmcma.visualization.plots import rank_histogram
from mmcma.visualization.query_panels import Answer, QueryPanel, draw_query_panels, query_panel

DEMO = Path(__file__).parents[2] / 'demo' / 'query_panels.py'


@pytest.fixture
def frames() -> torch.Tensor:
    return torch.randint(0, 256, (2, 3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def pixels(image: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(image)).convert('RGB')) / 255


def shows(image: bytes, colour: str) -> bool:
    return bool((abs(pixels(image) - to_rgb(colour)).max(axis=-1) < 0.01).any())


# ---- weights of frames ----

def test_weights_are_those_of_the_score():
    torch.manual_seed(0)
    mask = torch.tensor([[True, True, True], [True, False, False]])
    text, visual = Features(torch.randn(4, 8)), Features(torch.randn(2, 8), torch.randn(2, 3, 8), mask)
    weights = QueryScore(temperature=2.0).frame_weights(text, visual)  # (4, 2, 3)
    assert weights[:, 1].equal(torch.tensor([1.0, 0.0, 0.0]).expand(4, 3))
    pooled = torch.einsum('nmt,mtd->nmd', weights, visual.tokens)
    scores = F.cosine_similarity(text.pooled[:, None], pooled, dim=-1)
    torch.testing.assert_close(scores, QueryScore(temperature=2.0)(text, visual))


# ---- attention ----

@pytest.mark.parametrize('neck', [
    None, dict(type='CrossModalAdapter', init_std=0.5), dict(type='LoRA'), dict(type='VPT', num_prompts=3)])
@pytest.mark.parametrize('layer', [0, -1])
def test_attention_equals_that_of_transformers(build, tiny_clip, frames, neck, layer):
    model = build(model_config(tiny_clip, neck=neck)).eval()
    for name, parameter in model.named_parameters():
        if 'lora_B' in name:
            torch.nn.init.normal_(parameter)
    found = patch_attention(model, frames, layer=layer)
    assert found.shape == (2, 3, 2, 2)

    model.vision_backbone.encoder.set_attn_implementation('eager')
    taken = []
    module = model.vision_backbone.blocks[layer].self_attn
    module.register_forward_hook(lambda _, args, output: taken.append(output[1]))
    with torch.no_grad():
        model.encode_visual(frames)
    expected = taken[0].mean(dim=1)[:, 0]  # of the class token: (B * T, 1 + prompts + patches)
    torch.testing.assert_close(found, expected[:, -4:].reshape(2, 3, 2, 2))
    assert (found.sum(dim=(2, 3)) < 1).all()


def test_nothing_stays_hooked(build, tiny_clip, frames):
    model = build(model_config(tiny_clip)).eval()
    patch_attention(model, frames)
    assert not model.vision_backbone.blocks[-1].self_attn.q_proj._forward_hooks
    with pytest.raises(ValueError, match='unpack'):
        patch_attention(model, frames[0, 0])
    assert not model.vision_backbone.blocks[-1].self_attn.q_proj._forward_hooks


def test_a_layer_that_is_not_there(build, tiny_clip, frames):
    with pytest.raises(ConfigError, match='layer=2: the vision tower has 2 layers; choose -2 to 1'):
        patch_attention(build(model_config(tiny_clip)), frames, layer=2)


def test_a_tower_without_class_token(build, tmp_path, frames):
    config = model_config(write_dual(tmp_path, 'siglip'), data_preprocessor=dict(type='RetrievalDataPreprocessor'))
    with pytest.raises(ConfigError, match='no class token'):
        patch_attention(build(config), frames)


# ---- panels ----

class Model:
    """Scores and weights that are known."""

    @staticmethod
    def frame_weights(text, visual):
        return visual.tokens[None, :, :, 0]

    def encode_text(self, captions):
        return Features(torch.ones(len(captions), 1))

    def similarity(self, text, visual):
        return visual.pooled[None, :, 0]


def gallery() -> Features:
    weights = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.2, 0.3, 0.5], [0.1, 0.1, 0.8]])
    return Features(torch.tensor([0.1, 0.9, 0.5, 0.5])[:, None], weights[..., None])


def clip(position: int) -> torch.Tensor:
    return torch.full((2 if position == 1 else 3, 3, 8, 12), 40 * position, dtype=torch.uint8)


def test_a_panel_has_the_best_items_and_the_shares_of_their_frames():
    panel = query_panel(Model(), 'a star', gallery(), clip, labels='abcd', target=2, k=3, note='adapted')
    assert [answer.label for answer in panel.answers][0] == 'b' and len(panel.answers) == 3
    assert [answer.right for answer in panel.answers] == [answer.label == 'c' for answer in panel.answers]
    assert panel.answers[0].weights.tolist() == [1.0, 0.0]  # as many as the clip has frames
    assert panel.note == 'adapted: rank 2.5 of 4'


def test_a_panel_of_a_search_judges_nothing():
    panel = query_panel(Model(), 'a star', gallery(), clip, labels='abcd', k=9)
    assert len(panel.answers) == 4 and panel.note == ''
    assert all(answer.right is None for answer in panel.answers)


def answer(right, frames=12, weights=True) -> Answer:
    return Answer('x', 0.5, torch.zeros(frames, 3, 8, 12, dtype=torch.uint8), right,
                  torch.full((frames,), 1 / frames) if weights else None)


@pytest.mark.parametrize('judged, colours', [
    ([True], {RIGHT}), ([False], {WRONG}), ([True, False], {RIGHT, WRONG}), ([None], set())])
def test_right_is_green_and_wrong_is_red(judged, colours):
    image = draw_query_panels([QueryPanel('it costs $5 and $6', [answer(right) for right in judged])])
    assert {colour for colour in (RIGHT, WRONG) if shows(image, colour)} == colours


def test_the_more_there_is_to_show_the_higher_the_image():
    def height(*panels):
        return len(pixels(draw_query_panels(panels)))
    one = QueryPanel('a star', [answer(True)])
    assert height(one) > height(QueryPanel('a star', [answer(True, weights=False)]))
    assert height(one, one) < height(one, QueryPanel('a moon', one.answers))  # the same query is written once
    assert height(QueryPanel('many words ' * 40, [answer(True)])) > height(one)
    assert height(QueryPanel('a star', [answer(True, frames=1)])) > height(one)


def test_attention_is_drawn_below_the_frames(frames):
    attention = torch.zeros(3, 2, 2)
    attention[1, 0, 0] = 1
    bright = pixels(draw_patch_attention(torch.zeros_like(frames[0]), attention, ['$1', '2', '3'])).sum(axis=-1)
    lower = bright[len(bright) // 2 + 20:-20]
    thirds = [part[part < 2.9].mean() for part in np.array_split(lower, 3, axis=1)]  # without the white between
    assert thirds[1] > thirds[0] and thirds[1] > thirds[2]


# ---- the visualizer ----

def test_images_go_to_the_backends_and_to_a_file(tmp_path, frames):
    config = dict(type='RetrievalVisualizer', name='test', vis_backends=[dict(type='LocalVisBackend')])
    check_config(Config(dict(visualizer=config)))
    visualizer = VISUALIZERS.build(dict(config, save_dir=str(tmp_path)))
    visualizer.add_datasample('panels', [QueryPanel('a star', [answer(True)])], out_file=tmp_path / 'a.png', step=7)
    visualizer.add_patch_attention('attention', frames[0], torch.rand(3, 2, 2))
    visualizer.add_rank_histogram('ranks', dict(adapted=[1, 2, 2.5]), 10, title='Ranks', out_file=tmp_path / 'b.png')
    assert {path.name for path in tmp_path.rglob('*.png')} == {
        'a.png', 'b.png', 'panels_7.png', 'attention_0.png', 'ranks_0.png'}
    written = pixels(next(tmp_path.rglob('panels_7.png')).read_bytes())
    assert np.array_equal(written, pixels((tmp_path / 'a.png').read_bytes()))
    assert (tmp_path / 'b.png').read_bytes() == rank_histogram(dict(adapted=[1, 2, 2.5]), 10, 'Ranks')


def test_without_a_backend_only_the_file_is_written(tmp_path):
    VISUALIZERS.build(dict(type='RetrievalVisualizer', name='plain')).add_datasample(
        'panels', [QueryPanel('a star', [answer(None)])], out_file=tmp_path / 'a.png')
    assert [path.name for path in tmp_path.iterdir()] == ['a.png']


def test_the_demo(tmp_path, monkeypatch, capsys):
    config = DEMO.parents[1] / 'configs/cma/cma_tiny_glyphmotion.py'
    few = [f'test_dataloader.dataset.num_clips.{split}=8' for split in ('train', 'val', 'test')]
    monkeypatch.setattr(sys, 'argv', [
        'query_panels.py', str(config), '--captions', '0', '11', '-k', '8', '--out', str(tmp_path / 'out'),
        '--cfg-options', f'data_root={tmp_path}', *few])
    runpy.run_path(str(DEMO), run_name='__main__')
    assert 'query_panels.png' in capsys.readouterr().out
    assert shows((tmp_path / 'out/query_panels.png').read_bytes(), RIGHT)  # all 8 clips are shown
    assert (tmp_path / 'out/patch_attention.png').is_file()
