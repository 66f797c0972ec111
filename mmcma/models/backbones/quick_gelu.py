"""CLIP's activation, keeping one tensor for the backward pass instead of two."""
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.activations import QuickGELUActivation

_SLOPE = 1.702


class QuickGELU(nn.Module):
    """``x * sigmoid(1.702 x)``, the approximation of GELU (Hendrycks and Gimpel, 2016) that CLIP was trained with.

    ``transformers`` writes it as three operations, of which autograd keeps x
    and the sigmoid: in a frozen ViT-B these are the largest part of what a
    training step holds. It is ``silu(1.702 x) / 1.702``, whose derivative is
    silu's at ``1.702 x``; so x is enough.
    """

    def forward(self, x: Tensor) -> Tensor:
        """The activation of ``x``, of any shape and floating dtype, in the same shape and dtype."""
        return _QuickGELU.apply(x)


class _QuickGELU(torch.autograd.Function):

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return F.silu(x * _SLOPE, inplace=True).mul_(1 / _SLOPE)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        x, = ctx.saved_tensors
        return torch.ops.aten.silu_backward(grad, x * _SLOPE)


def replace_quick_gelu(model: nn.Module) -> None:
    """Puts :class:`QuickGELU` in the place of each of transformers' own; it has no weights, so no key changes."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, QuickGELUActivation):
                setattr(module, name, QuickGELU())
