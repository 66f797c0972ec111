"""What an evaluation leaves behind."""
import json
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mmcma.utils.digests import text_digest


@dataclass(frozen=True)
class RetrievalResult:
    """Ranks and metrics of a test set of N captions and M items, and what they were counted from.

    Attributes:
        metrics: Figures by name as :class:`RetrievalMetric` returns them, before a prefix.
        protocols: How ``t2v`` and ``v2t`` were ranked.
        gallery: Items that were ranked, and items that the protocol of the data set expects.
        t2v_ranks: float64 ``(N,)``.
        v2t_ranks: float64 ``(M,)``.
        top_items: int64 ``(N, k)``, positions (not ``item_index``) of the best items.
        top_scores: float32 ``(N, k)``, their scores by the model's similarity, before the logit scale.
        own_scores: float32 ``(N,)``, the score of each caption with its item.
        top_captions: int64 ``(M,)``, the position of the caption that each item finds first.
        top_caption_scores: float32 ``(M,)``.
        item_ids: The M names.
        item_index: The M positions in the data set.
        captions: The N captions, item after item.
        caption_item: int64 ``(N,)``, the position of each caption's item.
        caption_kinds: The N kinds; None as a whole, or for a caption, where the data has none.
        folds: Number of folds by the name under which their mean stands in ``metrics``; empty where there are none.
    """
    metrics: dict[str, float | str]
    protocols: dict[str, str]
    gallery: tuple[int, int]
    t2v_ranks: Tensor
    v2t_ranks: Tensor
    top_items: Tensor
    top_scores: Tensor
    own_scores: Tensor
    top_captions: Tensor
    top_caption_scores: Tensor
    item_ids: list[str]
    item_index: list[int]
    captions: list[str]
    caption_item: Tensor
    caption_kinds: list[str | None] | None = None
    folds: dict[str, int] = field(default_factory=dict)

    @property
    def test_set(self) -> str:
        """Digest of ids and captions in their order; only results of one digest can be compared query by query."""
        return text_digest(json.dumps([self.item_ids, self.captions, self.caption_item.tolist()]))

    def best_own_captions(self) -> Tensor:
        """int64 ``(M,)``, the position of each item's best caption of its own; the first of equals."""
        best = torch.full((len(self.item_ids),), -torch.inf).scatter_reduce_(
            0, self.caption_item, self.own_scores, 'amax')
        captions = (self.own_scores == best[self.caption_item]).nonzero().flatten()
        return torch.full((len(best),), len(self.captions)).scatter_reduce_(
            0, self.caption_item[captions], captions, 'amin')
