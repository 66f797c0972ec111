"""The lean activation against transformers' own and against its formula."""
import pytest
import torch
from helpers.clip import model_config
from transformers.activations import QuickGELUActivation

from mmcma.models.backbones.cpu_attention import SDPA
from mmcma.models.backbones.quick_gelu import QuickGELU
from mmcma.utils.errors import ConfigError


def test_values_and_gradients_are_those_of_the_formula():
    x = torch.cat([torch.linspace(-12, 12, 97), torch.tensor([0.0, -1e4, 1e4])]).double().requires_grad_()
    weights = torch.linspace(-1, 1, len(x), dtype=torch.double)
    results = []
    for activation in (QuickGELU(), QuickGELUActivation()):
        y = activation(x)
        results.append((y, *torch.autograd.grad((y * weights).sum(), x)))
    torch.testing.assert_close(results[0], results[1], rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(QuickGELU(), torch.randn(5, dtype=torch.double, requires_grad=True))


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_it_rounds_no_worse_than_three_operations_do(dtype):
    torch.manual_seed(0)
    x = torch.randn(4096).to(dtype)
    exact = QuickGELUActivation()(x.double())
    error, theirs = ((module(x).double() - exact).abs().max() for module in (QuickGELU(), QuickGELUActivation()))
    assert error <= 4 * theirs


def test_it_keeps_its_input_only():
    kept = []
    x = torch.randn(8, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        QuickGELU()(x)
    assert len(kept) == 1 and kept[0].data_ptr() == x.data_ptr()


def test_the_towers_have_it_and_their_keys_stay(tiny_clip, build):
    from mmcma.models.backbones.pretrained import read_dual
    model = build(model_config(tiny_clip, neck=None))
    for tower in (model.vision_backbone, model.text_backbone):
        kinds = [type(module) for module in tower.modules()]
        assert kinds.count(QuickGELU) == len(tower.blocks) and QuickGELUActivation not in kinds
    theirs = read_dual(pretrained=tiny_clip).vision_model.state_dict()
    assert model.vision_backbone.encoder.state_dict().keys() == theirs.keys()


def test_eager_attention_equals_the_default(tiny_clip, build):
    def features(**options):
        towers = {f'{part}_backbone': dict(type=f'HF{part.title()}Tower', pretrained=tiny_clip, **options)
                  for part in ('vision', 'text')}
        model = build(model_config(tiny_clip, neck=None, **towers)).eval()
        chosen = [tower.encoder.config._attn_implementation for tower in (model.vision_backbone, model.text_backbone)]
        torch.manual_seed(1)
        frames = torch.randint(0, 256, (2, 3, 3, 32, 32), dtype=torch.uint8)
        with torch.no_grad():
            return chosen, model.encode_visual(frames).pooled, model.encode_text(['a red star', 'moon']).pooled
    plain, eager = features(), features(attn_implementation='eager')
    assert plain[0] == [SDPA] * 2 and eager[0] == ['eager'] * 2
    torch.testing.assert_close(eager[1:], plain[1:], rtol=1e-5, atol=1e-5)


def test_an_unknown_attention_is_refused(tiny_clip, build):
    with pytest.raises(ConfigError, match="attn_implementation='fastest' cannot be had.*'eager'"):
        build(model_config(tiny_clip, vision_backbone=dict(
            type='HFVisionTower', pretrained=tiny_clip, attn_implementation='fastest')))
