"""Joining the batches of all processes, with gradients."""
import torch
import torch.distributed.nn.functional as differentiable
from mmengine.dist import all_gather, get_world_size
from torch import Tensor

from mmcma.structures import Features


def gather_features(features: Features) -> Features:
    """The features of all processes, rank after rank; their own where there is one process.

    The backward pass adds up what every process's loss says of the local
    slice. A gather that only keeps the local slice of the gradient makes it
    too small by the number of processes, since DDP then averages.

    Args:
        features: Of the local batch; the same shapes on every process.
    """
    if get_world_size() == 1:
        return features
    return Features(pooled=_gather(features.pooled),
                    tokens=None if features.tokens is None else _gather(features.tokens),
                    mask=None if features.mask is None else gather_constant(features.mask))


def gather_constant(x: Tensor) -> Tensor:
    """``x`` of all processes joined along the first axis, without gradient."""
    return torch.cat(all_gather(x.contiguous()))


def _gather(x: Tensor) -> Tensor:
    return torch.cat(differentiable.all_gather(x.contiguous()))
