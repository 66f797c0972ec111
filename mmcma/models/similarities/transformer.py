"""The transformer that CLIP4Clip puts behind the towers: CLIP's own layers."""
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers.activations import ACT2FN

from mmcma.models.backbones.tower import TextTower
from mmcma.models.similarities.base import Init, Similarity, check_init
from mmcma.utils.errors import argument_error

_HEAD_DIM = 64
# A layer of CLIP's text tower in transformers -> the same part of a layer of PyTorch's.
_PARTS = {'self_attn.out_proj': 'self_attn.out_proj', 'layer_norm1': 'norm1', 'layer_norm2': 'norm2',
          'mlp.fc1': 'linear1', 'mlp.fc2': 'linear2'}


def clip_layers(embed_dim: int, num_layers: int) -> nn.TransformerEncoder:
    """Pre-norm layers with quick GELU and without dropout, ``(B, L, D)`` -> ``(B, L, D)``.

    Heads are 64 wide, as in CLIP; a width that 64 does not divide has one head.
    Each layer has ``12 D^2 + 13 D`` parameters.
    """
    layer = nn.TransformerEncoderLayer(
        embed_dim, nhead=embed_dim // _HEAD_DIM if embed_dim % _HEAD_DIM == 0 else 1, dim_feedforward=4 * embed_dim,
        dropout=0.0, activation=ACT2FN['quick_gelu'], batch_first=True, norm_first=True)
    return nn.TransformerEncoder(layer, num_layers, enable_nested_tensor=False)


@torch.no_grad()
def start_from_text_tower(part: nn.Module, layers: nn.TransformerEncoder, positions: nn.Parameter,
                          tower: TextTower) -> None:
    """Copies the first layers and positions of CLIP's text tower, as CLIP4Clip starts its transformers.

    Args:
        part: The similarity, for errors.
        layers: Of :func:`clip_layers`; gets as many of the tower's first layers as it has.
        positions: ``(P, D)``; gets the tower's first P.
        tower: Where from.

    Raises:
        ConfigError: The tower has other layers than CLIP's, or too few, narrower or wider ones, or fewer positions.
    """
    name, blocks = tower.source or type(tower).__name__, tower.blocks
    parts = {part for part, _ in blocks[0].named_modules()} if blocks else set()
    if tower.positions is None or not {*_PARTS, 'self_attn.q_proj'} <= parts:
        raise argument_error(part, 'init', 'released', f"copies layers of CLIP's text tower, and {name!r} has none "
                             "such; use init='identity', or a CLIP.")
    needed = _sizes(list(layers.layers), positions, 'linear1.weight')
    found = _sizes(blocks, tower.positions, 'mlp.fc1.weight')
    if needed.layers > found.layers or needed.positions > found.positions or needed[2:] != found[2:]:
        raise argument_error(part, 'init', 'released', f'copies {needed} from the text tower, and {name!r} has '
                             f"{found}; lower num_layers or max_frames, use another backbone, or init='identity'.")
    positions.copy_(tower.positions[:needed.positions])
    for layer, block in zip(layers.layers, blocks):
        attention: Any = layer.get_submodule('self_attn')
        released: Any = block.get_submodule('self_attn')
        attention.num_heads, attention.head_dim = released.num_heads, found.width // released.num_heads
        for theirs, ours in _PARTS.items():
            layer.get_submodule(ours).load_state_dict(block.get_submodule(theirs).state_dict())
        for kind in ('weight', 'bias'):
            joined = [released.get_parameter(f'{row}_proj.{kind}') for row in 'qkv']
            getattr(attention, f'in_proj_{kind}').copy_(torch.cat(joined))


class FrameTransformer(Similarity):
    """A similarity with :func:`clip_layers` over embeddings to which learned positions are added.

    A subclass makes ``layers`` and ``positions``, ``(P, D)``, when it learns the width.

    Args:
        num_layers: Depth.
        max_frames: Most frames of a clip.
        init: ``'released'``: with the first layers and positions of CLIP's text tower; else ``'identity'``.
    """
    layers: nn.TransformerEncoder
    positions: nn.Parameter

    def __init__(self, *, num_layers: int = 4, max_frames: int = 64, init: Init = 'identity') -> None:
        super().__init__()
        check_init(self, init)
        self.num_layers = num_layers
        self.max_frames = max_frames
        self.init = init

    def bind_text(self, tower: TextTower, max_words: int) -> None:
        """Starts from the tower's layers where asked to."""
        if self.init == 'released':
            start_from_text_tower(self, self.layers, self.positions, tower)


class _Sizes(NamedTuple):
    layers: int
    positions: int
    width: int
    hidden: int

    def __str__(self) -> str:
        return f'{self.layers} layers, {self.positions} positions, width {self.width} and {self.hidden} hidden units'


def _sizes(layers: list[nn.Module], positions: nn.Parameter, hidden: str) -> _Sizes:
    """Sizes of layers whose parameter ``hidden`` has a row for each hidden unit."""
    return _Sizes(len(layers), len(positions), positions.shape[1], len(layers[0].get_parameter(hidden)))


def start_as_bert(network: nn.Module) -> None:
    """Weights of linear layers from a normal distribution of standard deviation 0.02, biases zero (CLIP4Clip, DRL)."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def require_positions(part: object, num_frames: int, max_frames: int) -> None:
    """Checks that every frame has a position embedding.

    Raises:
        ConfigError: There are more frames than positions.
    """
    if num_frames > max_frames:
        raise argument_error(part, 'max_frames', max_frames, f'is less than the {num_frames} frames of the '
                          'clips; raise it, or lower num_frames of LoadVideoFrames.')
