"""The narrow adapter through which DiscoVLA passes on what a class token got from its own frame or caption."""
from torch import nn
from transformers.activations import ACT2FN


class ClassAdapter(nn.Sequential):
    """``c -> gelu(c Wd + bd) Wu + bu``, zero at the start."""

    def __init__(self, *, dim: int, rank: int) -> None:
        down, up = nn.Linear(dim, rank), nn.Linear(rank, dim)
        super().__init__(down, ACT2FN['quick_gelu'], up)
        nn.init.xavier_uniform_(down.weight)
        nn.init.normal_(down.bias, std=1e-6)
        for zero in up.parameters():
            nn.init.zeros_(zero)
