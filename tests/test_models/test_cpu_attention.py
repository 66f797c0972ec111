"""Attention in a bf16 training on a CPU: the same as elsewhere, by plain products."""
import pytest
import torch
from torch import Tensor, nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from mmcma.models.backbones import cpu_attention


class Attention(nn.Module):
    """What transformers tells an attention function of its module."""

    def __init__(self, is_causal: bool) -> None:
        super().__init__()
        self.is_causal = is_causal


@pytest.fixture
def plain(monkeypatch) -> list[int]:
    """The lengths for which plain products were taken."""
    lengths, products = [], cpu_attention.eager_attention_forward

    def watched(module, query, *rest, **options):
        lengths.append(query.shape[2])
        return products(module, query, *rest, **options)
    monkeypatch.setattr(cpu_attention, 'eager_attention_forward', watched)
    return lengths


def heads(length: int, dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(length)
    return [torch.randn(3, 2, length, 8, generator=generator).to(dtype).requires_grad_() for _ in range(3)]


def attend(function, module: Attention, tensors: list[Tensor], mask: Tensor | None, **options) -> list[Tensor]:
    """What comes out, and the gradients of the three."""
    out = function(module, *tensors, mask, scaling=8 ** -0.5, **options)[0]
    weights = torch.linspace(-1, 1, out.numel(), dtype=torch.float32).view(out.shape)
    return [out, *torch.autograd.grad((out.float() * weights).sum(), tensors)]


def masks(kind: str, length: int) -> Tensor | None:
    """The last key of the second of three items hidden, or scores to be added."""
    seen = torch.ones(3, 1, 1, length, dtype=torch.bool)
    seen[1, ..., -1] = False
    return dict(none=None, hidden=seen, scores=torch.linspace(0, 2, length).view(1, 1, 1, length))[kind]


@pytest.mark.parametrize('options', [{}, {'is_causal': True}, {'is_causal': None}], ids=str)
@pytest.mark.parametrize('causal', [False, True])
@pytest.mark.parametrize('kind', ['none', 'hidden', 'scores'])
def test_values_and_gradients_are_those_of_float32(plain, kind, causal, options):
    mask, module = masks(kind, 5), Attention(causal)
    narrow = mask.bfloat16() if kind == 'scores' else mask
    mine = attend(cpu_attention._attend, module, heads(5, torch.bfloat16), narrow, **options)
    exact = attend(sdpa_attention_forward, module, [of.detach().float().requires_grad_() for of in
                                                    heads(5, torch.bfloat16)], mask, **options)
    assert plain == [5]
    for of, wanted in zip(mine, exact):
        assert of.dtype == torch.bfloat16
        torch.testing.assert_close(of.float(), wanted, rtol=0.03, atol=0.03)


@pytest.mark.parametrize('length, dtype, trains, taken', [
    (5, torch.bfloat16, True, [5]),
    (5, torch.bfloat16, False, []),
    (5, torch.float32, True, []),
    (cpu_attention.LONG, torch.bfloat16, True, []),
])
def test_elsewhere_it_is_the_fused_kernel_to_the_last_bit(plain, length, dtype, trains, taken):
    tensors = [of.requires_grad_(trains) for of in (x.detach() for x in heads(length, dtype))]
    mine = cpu_attention._attend(Attention(True), *tensors, None, scaling=8 ** -0.5)[0]
    assert plain == taken
    if not taken:
        assert torch.equal(mine, sdpa_attention_forward(Attention(True), *tensors, None, scaling=8 ** -0.5)[0])
