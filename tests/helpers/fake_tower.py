"""A tower without weights of its own, for tests of what attaches itself to one."""
from torch import Tensor, nn

from mmcma.models import Site, Tower


class FakeBlock(nn.Module):
    """A pre-norm transformer layer whose two branches give what they get."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.attn, self.ffn = nn.Identity(), nn.Identity()
        self.dim = dim

    def forward(self, hidden: Tensor) -> Tensor:
        hidden = hidden + self.attn(hidden)
        return hidden + self.ffn(hidden)


class FakeTower(Tower):
    """Layers of :class:`FakeBlock`."""

    def __init__(self, layers: int, dim: int) -> None:
        super().__init__(source='fake', width=dim, embed_dim=dim, prompt_start=1, trainable=False)
        self.layers = nn.ModuleList(FakeBlock(dim) for _ in range(layers))
        self.projection = nn.Identity()
        self.token_embedding = nn.Embedding(50, dim)

    @property
    def blocks(self) -> list[nn.Module]:
        return list(self.layers)

    @property
    def stem(self) -> list[nn.Module]:
        return [self.token_embedding]

    @property
    def sites(self) -> list[Site]:
        return [Site(layer, kind, getattr(block, kind), self.width)
                for layer, block in enumerate(self.layers) for kind in ('attn', 'ffn')]

    def forward(self, hidden: Tensor) -> Tensor:
        for block in self.layers:
            hidden = block(hidden)
        return hidden


def attached(neck, *, layers: int = 1, vision: int, text: int):
    """``neck``, attached to two fake towers of these widths."""
    neck.attach(vision=FakeTower(layers, vision), text=FakeTower(layers, text))
    return neck
