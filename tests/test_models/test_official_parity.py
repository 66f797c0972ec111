"""Our model against the released implementation, on the same random weights."""
import json
import os
import sys
from pathlib import Path

import pytest
import torch
from helpers import official_reference as reference
from helpers.clip import model_config
from helpers.imports import import_file
from mmengine.logging import HistoryBuffer

from mmcma.cli.arguments import run_tool

TOOL = Path(__file__).parents[2] / 'tools' / 'model_converters' / 'official_cma.py'


@pytest.fixture(scope='module')
def converter():
    return import_file(TOOL)


def official_checkpoint() -> dict:
    return dict(model={f'clip.{name}': tensor for name, tensor in reference.official_state().items()})


@pytest.fixture
def model(tmp_path, build, converter):
    folder = reference.write_hf_folder(tmp_path)
    model = build(model_config(
        folder, data_preprocessor=dict(type='RetrievalDataPreprocessor'),
        neck=dict(type='CrossModalAdapter', bottleneck_dim=reference.REDUCTION, shared_dim=reference.SHARED))).eval()
    adapters = converter.convert(official_checkpoint(), None)['state_dict']
    unexpected = model.load_state_dict(adapters, strict=False).unexpected_keys
    assert not unexpected and set(adapters) == set(model.trainable_parameters())
    return model


def ours(model) -> dict[str, torch.Tensor]:
    from mmcma.structures import Features
    frames, mask, tokens = reference.inputs()
    with torch.no_grad():
        visual, text = model.vision_backbone(frames), model.text_backbone(tokens, tokens != 0).pooled
        stacked = visual.view(reference.VIDEOS, reference.FRAMES, -1)
        similarity = model.similarity(Features(text), Features(stacked.mean(1), stacked, mask))
    return dict(visual=visual, text=text, similarity=model.head.logit_scale.exp() * similarity)


def assert_equal(found: dict, expected: dict) -> None:
    scale = torch.tensor(2.7).exp()
    for name, tolerance in (('visual', 1e-5), ('text', 1e-5), ('similarity', 1e-5 * scale)):
        torch.testing.assert_close(found[name], torch.as_tensor(expected[name]), atol=float(tolerance), rtol=1e-5)


def test_embeddings_and_similarities_are_those_of_the_released_code(model):
    assert_equal(ours(model), json.loads(reference.GOLDEN.read_text()))


def test_the_adapters_matter_in_that_comparison(model):
    golden = json.loads(reference.GOLDEN.read_text())
    with model.zero_shot():
        found = ours(model)
    for name in ('visual', 'text'):
        assert (found[name] - torch.tensor(golden[name])).abs().max() > 0.1


@pytest.mark.skipif('MMCMA_OFFICIAL' not in os.environ, reason='MMCMA_OFFICIAL names no checkout of the released code')
def test_against_a_checkout_of_the_released_code(model):
    from helpers.make_official_golden import run_official
    assert_equal(ours(model), run_official(os.environ['MMCMA_OFFICIAL']))


def test_converter_there_and_back(converter):
    ours_form = converter.convert(official_checkpoint(), None)
    back = converter.convert(ours_form, None)['model']
    adapters = {name: t for name, t in official_checkpoint()['model'].items() if '_adapter_' in name}
    assert set(back) == set(adapters)
    for name, tensor in adapters.items():
        assert torch.equal(back[name], tensor)


def test_converter_as_a_command(tmp_path, converter, monkeypatch, capsys):
    import argparse
    source, target = tmp_path / 'in.pth', tmp_path / 'out.pth'
    torch.save({**official_checkpoint(), 'args': argparse.Namespace(seed=42), 'epoch': 4}, source)
    folder = reference.write_hf_folder(tmp_path / 'clip')
    monkeypatch.setattr(sys, 'argv', ['official_cma.py', str(source), str(target), '--backbone', folder])
    converter.main()
    checkpoint = torch.load(target, weights_only=True)
    assert len(checkpoint['backbone']['fingerprint']) == 32 and checkpoint['backbone']['name'] == folder
    assert 'neck.slots.0.shared.weight' in checkpoint['state_dict']
    # And back, of a file as a training writes it.
    torch.save(dict(checkpoint, message_hub=dict(log_scalars={'train/loss': HistoryBuffer([1.0], [1])})), target)
    monkeypatch.setattr(sys, 'argv', ['official_cma.py', str(target), str(tmp_path / 'back.pth')])
    converter.main()
    assert torch.load(tmp_path / 'back.pth')['model'].keys() < official_checkpoint()['model'].keys()


@pytest.mark.parametrize('content, message', [
    (dict(model={'clip.visual.proj': torch.zeros(2)}), 'holds no clip'), (dict(weights=1), "neither as 'model'"),
    (dict(model={'clip.x_adapter_weight': torch.zeros(4, 2)}), 'clip.x_adapter_weight is no parameter'),
    (dict(model={'clip.visual_adapter_down_weight': 3}), "neither as 'model'"),
    (dict(state_dict={'head.x': torch.zeros(2)}), 'holds no neck.slots'),
    (dict(model=torch.nn.Linear(1, 1)), '--trust-checkpoint'), (None, 'no such file')])
def test_converter_refuses(tmp_path, converter, monkeypatch, capsys, content, message):
    if content is not None:
        torch.save(content, tmp_path / 'in.pth')
    monkeypatch.setattr(sys, 'argv', ['official_cma.py', str(tmp_path / 'in.pth'), str(tmp_path / 'out.pth')])
    with pytest.raises(SystemExit, match='2'):
        run_tool(converter.main)
    said = capsys.readouterr().err
    assert said.startswith('error: ') and message in said and 'in.pth' in said and said.count('\n') == 1
    assert not (tmp_path / 'out.pth').exists()
