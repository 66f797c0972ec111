"""One low-rank update of query, key and value together, as in the released code of TempMe and DiscoVLA."""
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from mmcma.models.backbones.sites import PreNormLayer
from mmcma.models.necks.base import Neck


class JointLoRA(nn.Module):
    """``x -> B A x`` with A ``(r, dim)`` from PyTorch's start and B ``(3 dim, r)`` zero; B's rows are those of q, k, v."""

    def __init__(self, *, dim: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Linear(dim, rank, bias=False)
        self.up = nn.Linear(rank, 3 * dim, bias=False)
        nn.init.zeros_(self.up.weight)

    def add(self, part: int, entered: Tensor, left: Tensor) -> Tensor:
        """``left`` ``(..., dim)`` plus the update of ``entered``; ``part`` is 0, 1, 2 for query, key, value."""
        return left + F.linear(self.down(entered), self.up.weight.chunk(3)[part])


def update_projections(neck: Neck, layer: PreNormLayer, lora: JointLoRA, where: str) -> None:
    """Puts the update beside the layer's three projections."""
    for part, projection in enumerate((layer.query, layer.key, layer.value)):
        neck.rewrite_branch(projection, partial(lora.add, part), f"{where} {('query', 'key', 'value')[part]}")
