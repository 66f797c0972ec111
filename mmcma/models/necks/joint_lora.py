"""One low-rank update of queries, keys and values together, as in the public code of TempMe and DiscoVLA."""
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from mmcma.models.backbones.tower import Tower
from mmcma.models.necks.base import Neck


class JointLoRA(nn.Module):
    """One low-rank update of a layer's queries, keys and values: ``x -> B A x`` with B of their three widths together.

    As in the public code there is no factor; B is zero at the start.
    """

    def __init__(self, *, dim: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Linear(dim, rank, bias=False)
        self.up = nn.Linear(rank, 3 * dim, bias=False)
        nn.init.zeros_(self.up.weight)

    def add(self, part: int, entered: Tensor, left: Tensor) -> Tensor:
        """``left`` ``(..., dim)`` plus the update of query (0), key (1) or value (2) of ``entered``."""
        return left + F.linear(self.down(entered), self.up.weight.chunk(3)[part])


def joint_lora(neck: Neck, tower: Tower, modality: str, *, rank: int) -> nn.ModuleList:
    """An update for every layer of a tower that shows its layers' parts, hooked into it."""
    updates = [JointLoRA(dim=tower.width, rank=rank) for _ in tower.pre_norm_layers]
    for index, (layer, update) in enumerate(zip(tower.pre_norm_layers, updates)):
        for part, name in enumerate(('query', 'key', 'value')):
            neck.rewrite_branch(getattr(layer, name), partial(update.add, part), f'{modality} layer {index} {name}')
    return nn.ModuleList(updates)
