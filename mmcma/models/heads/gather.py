"""Joining the batches of all processes, with gradients."""
import torch
from mmengine.dist import all_gather, all_reduce, get_rank, get_world_size
from torch import Tensor

from mmcma.structures import AnyFeatures


def gather_features(features: AnyFeatures) -> AnyFeatures:
    """The features of all processes, rank after rank; their own where there is one process.

    Args:
        features: Features of the local batch; the same shapes on every process, but
            that tokens with a mask may be more or fewer: they are padded to
            the most of all processes.
    """
    if get_world_size() == 1:
        return features
    if features.tokens is not None and features.mask is not None:
        features = features.pad_to(_longest(features.tokens.shape[1], features.tokens.device))
    return features.each(lambda x: _Gather.apply(x) if x.is_floating_point() else gather_constant(x))


def _longest(length: int, device: torch.device) -> int:
    """The largest ``length`` of all processes."""
    longest = torch.tensor(length, device=device)
    all_reduce(longest, op='max')
    return int(longest)


def gather_constant(x: Tensor) -> Tensor:
    """``x`` of all processes joined along the first axis, without gradient."""
    return torch.cat(all_gather(x.contiguous()))


class _Gather(torch.autograd.Function):
    """Gather whose backward adds up what every process's loss says of the local slice.

    Keeping the local slice of the local gradient alone would make it too
    small by the number of processes, since DDP averages afterwards.
    PyTorch's own differentiable gather is deprecated without a public heir.
    """

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.size = len(x)
        return gather_constant(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        grad = grad.contiguous()
        all_reduce(grad, op='sum')
        return grad[ctx.size * get_rank():ctx.size * (get_rank() + 1)]
