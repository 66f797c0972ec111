"""Learned tokens at both ends of a caption's context, as VoP's public code places them."""
from functools import partial

import torch
from torch import Tensor, nn

from mmcma.models.backbones.tower import TextTower
from mmcma.models.necks.base import Neck
from mmcma.models.necks.prompts import Prompts, check_room
from mmcma.utils.errors import argument_error

#: The id that CLIP's own code pads captions with; transformers pads with the end token, which must stand once here.
_PADDING = 0


class CaptionEnds(nn.Module):
    """Tokens after the start token and before the last place of the context, and a feature read behind the end token.

    A caption of at most F = context - P - S tokens gets P of the tokens behind
    its start token and S before its last place, once it is padded to F; its feature is read P + S
    places behind where its end token stood, which is now S places behind it.
    Attention looks back alone, so the places behind that one need not be there:
    of captions that are padded to L tokens, L + P + S are computed.

    Args:
        tower: One that pools the end token.
        depth: Layers, each with tokens of its own.
        num_prefix: P.
        num_suffix: S.
    """

    def __init__(self, tower: TextTower, *, depth: int, num_prefix: int, num_suffix: int) -> None:
        super().__init__()
        self.prompts = Prompts(depth=depth, count=num_prefix + num_suffix, width=tower.width)
        self.num_prefix = num_prefix
        self.num_suffix = num_suffix
        self.end_token: int = tower.tokenizer.eos_token_id
        self.last = tower.context_length - 1

    def make_room(self, token_ids: Tensor, mask: Tensor, **kwargs) -> tuple[tuple, dict]:
        """Ids and mask ``(N, L)`` with all places, where the id of the end token marks the one to pool."""
        ids = token_ids.masked_fill(~mask.bool(), _PADDING)
        end = (ids == self.end_token).int().argmax(dim=1, keepdim=True)
        room = self.num_prefix + self.num_suffix
        ids = torch.cat([ids[:, :1], ids.new_full((len(ids), self.num_prefix), _PADDING), ids[:, 1:],
                         ids.new_full((len(ids), self.num_suffix), _PADDING)], dim=1)
        pooled = end + room
        ids = ids.masked_fill(ids == self.end_token, _PADDING).scatter(1, pooled, self.end_token)
        return (ids, torch.arange(ids.shape[1], device=ids.device) <= pooled), kwargs

    def embed(self, token_ids: Tensor, hidden: Tensor) -> Tensor:
        """Vectors ``(N, L, width)`` of those ids, the end token's where it belongs, with the first layer's tokens."""
        pooled = (token_ids == self.end_token).int().argmax(dim=1, keepdim=True)
        # A caption that fills its places ends in the last one, which stays behind the suffix.
        end = torch.where(pooled == self.last, pooled, pooled - self.num_suffix)
        order = torch.arange(hidden.shape[1], device=hidden.device).repeat(len(hidden), 1)
        order = order.scatter(1, pooled, end).scatter(1, end, pooled)
        return self.write(0, hidden.gather(1, order[..., None].expand_as(hidden)))

    def write(self, layer: int, hidden: Tensor) -> Tensor:
        """The layer's tokens in their places, ``(N, L, width)``."""
        tokens = self.prompts(layer).to(hidden.dtype).expand(len(hidden), -1, -1)
        prefix, suffix = tokens.split([self.num_prefix, self.num_suffix], dim=1)
        place = self.last - self.num_suffix
        return torch.cat([hidden[:, :1], prefix, hidden[:, 1 + self.num_prefix:place],
                          suffix[:, :max(hidden.shape[1] - place, 0)], hidden[:, self.last:]], dim=1)


def prompt_ends(neck: Neck, tower: TextTower, ends: CaptionEnds) -> None:
    """Hooks the tokens into every caption and every layer."""
    embedding: nn.Module = tower.token_embedding  # type: ignore[assignment]  # `check_ends` saw that it is there
    neck.rewrite_call(tower, ends.make_room, 'the text tower')
    neck.rewrite_branch(embedding, ends.embed, 'the token embedding')
    for layer, block in enumerate(tower.blocks[1:], start=1):
        neck.rewrite_input(block, partial(ends.write, layer), f'text layer {layer}')


def check_ends(neck: Neck, tower: TextTower, num_suffix: int, count: int) -> None:
    """Refuses a text tower where nothing can be read behind the end token, or that has no room for the tokens.

    Raises:
        ConfigError: It is one.
    """
    check_room(neck, tower, count)
    if not tower.pools_end_token:
        raise argument_error(neck, 'num_suffix', num_suffix, f'moves the feature behind the end token, and the text '
                             f'tower {tower.source!r} does not read it there: set num_suffix=0.')
