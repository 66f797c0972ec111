"""Learned tokens in the sequences of a tower: the mechanism of every prompt method.

Prompts stand at ``tower.prompt_start``, after the class or start token where
there is one. Vision prompts come before what normalises the embedded patches,
or with the first layer where nothing does, and are gone after the last layer,
so that whatever pools over tokens never sees them. Text prompts take
places in the caption itself, before the backbone looks at it: positions, causal
mask and end token come out right by themselves, and the caption keeps its words.
"""
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from mmcma.models.backbones.tower import TextTower, Tower, VisionTower
from mmcma.models.necks.base import Neck
from mmcma.utils.errors import ConfigError, argument_error

#: Gives the tokens of a layer, ``(P, width)`` for all sequences or ``(N, P, width)`` for each its own, from the layer's
#: number and the hidden states ``(N, L, width)`` that it is entered with, where tokens of the layer before still stand;
#: in captions those of the first layer are the words' vectors, without positions. A module or bound method.
LayerPrompts = Callable[[int, Tensor], Tensor]


class Prompts(nn.Module):
    """``count`` tokens for each of ``depth`` layers, from a normal distribution of standard deviation 0.02.

    This is the start that CoOp and MaPLe use. VPT's (a uniform one whose bound
    depends on the patch) has a standard deviation of 0.023 on CLIP ViT-B/32 and
    0.036 on ViT-B/16; one start for all keeps the methods comparable.
    """

    def __init__(self, *, depth: int, count: int, width: int) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.empty(depth, count, width))
        nn.init.normal_(self.tokens, std=0.02)

    def forward(self, layer: int, hidden: Tensor | None = None) -> Tensor:
        """The layer's tokens ``(count, width)``, whatever the hidden states are."""
        return self.tokens[layer]

    def decays(self, name: str, parameter: nn.Parameter) -> bool:
        """No: a token is no map that weight decay would keep small."""
        return False


def check_count(neck: Neck, name: str, count: int) -> None:
    """Refuses fewer than one token.

    Raises:
        ConfigError: ``count``, the neck's argument ``name``, is below 1.
    """
    if count < 1:
        raise argument_error(neck, name, count, 'must be at least 1 learned token.')


def prompted_layers(neck: Neck, tower: Tower, modality: str, depth: int | None) -> int:
    """Number of the tower's layers that get tokens of their own: ``depth``, or all where it is None.

    Raises:
        ConfigError: The tower has no layers that take learned tokens, or fewer than ``depth``.
    """
    layers, name = len(tower.blocks), tower.source or type(tower).__name__
    if not layers or tower.prompt_start is None:
        raise ConfigError(f'{type(neck).__name__} puts tokens into transformer layers, and the {modality} tower '
                          f'{name!r} has none that take more than their own; use another backbone there, or another '
                          'method.')
    if depth is not None and not 1 <= depth <= layers:
        raise argument_error(neck, 'depth', depth, f'does not fit: the {modality} tower {name!r} has {layers} layers; '
                             f'choose 1 to {layers}.')
    return depth or layers


def prompt_vision(neck: Neck, tower: VisionTower, prompts: LayerPrompts, *, depth: int, count: int,
                  until: int | None = None) -> None:
    """Hooks ``count`` tokens into the first ``depth`` layers; each layer's take the place of the previous one's.

    They are gone after the first ``until`` layers, or the last.

    Those of the first layer go through CLIP's norm before it, as in the public code of multi-modal prompt learning
    (https://github.com/muzairkhattak/multimodal-prompt-learning, clip/model.py).
    """
    neck.needs_places = True
    start: int = tower.prompt_start  # type: ignore[assignment]  # a tower without has no `prompted_layers`
    for layer, block in enumerate(tower.blocks[:depth]):
        write = partial(_write, prompts, layer, start, count if layer else 0)
        place = tower.pre_norm if layer == 0 and tower.pre_norm is not None else block
        neck.rewrite_input(place, write, f'vision layer {layer}')
    last = (until or len(tower.blocks)) - 1
    neck.rewrite_output(tower.blocks[last], partial(_remove, start, count), f'vision layer {last}')


def check_room(neck: Neck, tower: TextTower, count: int) -> None:
    """Refuses a text tower that has no room for ``count`` tokens in a caption.

    Raises:
        ConfigError: The tower embeds no tokens, or its context has no room for the tokens and a word.
    """
    name = tower.source or type(tower).__name__
    if tower.prompt_start is None or getattr(tower, 'token_embedding', None) is None:
        raise ConfigError(f'{type(neck).__name__} puts tokens into captions, and the text tower '
                          f'{name!r} takes none (prompt_start, token_embedding); use another text tower, or another '
                          'method.')
    if tower.context_length - count < 3:
        raise ConfigError(f'{type(neck).__name__}: {count} learned tokens leave no room for a word in the '
                          f'{tower.context_length} tokens of the text tower {name!r}; use at most '
                          f'{tower.context_length - 3}.')


def prompt_text(neck: Neck, tower: TextTower, prompts: LayerPrompts, *, depth: int, count: int) -> None:
    """Hooks ``count`` tokens into every caption, and those of deeper layers into the same places, up to ``depth``.

    Raises:
        ConfigError: The tower embeds no tokens, or its context has no room for the tokens and a word.
    """
    check_room(neck, tower, count)
    start: int = tower.prompt_start  # type: ignore[assignment]  # it is there, as was checked
    neck.rewrite_call(tower, partial(_make_room, start, count), 'the text tower')
    embedding: nn.Module = tower.token_embedding  # type: ignore[assignment]  # it is there, as was checked
    neck.rewrite_output(embedding, partial(_write, prompts, 0, start, count), 'the token embedding')
    for layer in range(1, depth):
        neck.rewrite_input(tower.blocks[layer], partial(_write, prompts, layer, start, count), f'text layer {layer}')


def prompt_text_layers(neck: Neck, tower: TextTower, prompts: LayerPrompts, *, count: int) -> None:
    """Hooks ``count`` tokens behind the start token into every text layer; words keep the positions they have without.

    The tokens themselves have no positions, and take no place of the context.

    Raises:
        ConfigError: The tower is not causal, or embeds no tokens.
    """
    name = tower.source or type(tower).__name__
    if not tower.pools_end_token:
        raise ConfigError(f'{type(neck).__name__} puts tokens between the words of a causal text tower, and {name!r} '
                          'is none; use CLIP there, or another method.')
    start: int = tower.prompt_start  # type: ignore[assignment]  # such a tower has one
    for layer, block in enumerate(tower.blocks):
        insert = partial(_insert, prompts, layer, start, count if layer else 0)
        neck.rewrite_call(block, insert, f'text layer {layer}')
    neck.rewrite_output(tower.blocks[-1], partial(_remove, start, count), f'text layer {len(tower.blocks) - 1}')


def _insert(prompts: LayerPrompts, layer: int, start: int, stale: int, hidden: Tensor,
            attention_mask: Tensor | None = None, **kwargs) -> tuple[tuple, dict]:
    """:func:`_write`, with the causal mask of as many tokens where the layer is given one."""
    hidden = _write(prompts, layer, start, stale, hidden)
    if attention_mask is not None:
        length = hidden.shape[1]
        attention_mask = hidden.new_full((1, 1, length, length), float('-inf')).triu(1)
    return (hidden, attention_mask), kwargs


def _write(prompts: LayerPrompts, layer: int, start: int, stale: int, hidden: Tensor) -> Tensor:
    """The layer's tokens for ``stale`` ones from ``start``: ``(N, L, D)`` -> ``(N, L + P - stale, D)``."""
    tokens = prompts(layer, hidden).to(hidden.dtype).expand(len(hidden), -1, -1)  # (N, P, D)
    return torch.cat([hidden[:, :start], tokens, hidden[:, start + stale:]], dim=1)


def _remove(start: int, count: int, hidden: Tensor) -> Tensor:
    """``(N, P + L, D)`` -> ``(N, L, D)``."""
    return torch.cat([hidden[:, :start], hidden[:, start + count:]], dim=1)


def _make_room(start: int, count: int, token_ids: Tensor, mask: Tensor, **kwargs) -> tuple[tuple, dict]:
    """Widens ids and mask ``(N, L)`` by ``count`` places, whose vectors are written where ids are embedded."""
    # The first token again: never the end token that CLIP pools at, nor padding.
    room = token_ids[:, :1].expand(-1, count)
    token_ids = torch.cat([token_ids[:, :start], room, token_ids[:, start:]], dim=1)
    mask = torch.cat([mask[:, :start], torch.ones_like(room, dtype=mask.dtype), mask[:, start:]], dim=1)
    return (token_ids, mask), kwargs
