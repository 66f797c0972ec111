"""Frames pooled by a text's attention (X-Pool: Gorti et al., CVPR 2022)."""

import torch
from torch import Tensor, nn

from mmcma.models.similarities.base import Similarity, require_tokens, unit
from mmcma.models.similarities.chunks import score_in_chunks
from mmcma.registry import MODELS
from mmcma.structures import Features


@MODELS.register_module()
class XPool(Similarity):
    """Cosine of the text and the item's frames, pooled by cross-attention from the text.

    With LayerNorms LN, ``r = LN(Attention(LN(t) Wq, LN(f) Wk, LN(f) Wv) Wo)``
    is the pooled video, with one head, and ``LN(r + dropout(r W))`` what the
    text is compared with. LN is one for t and f, and another at each other place.

    Trains ``5 D^2 + 11 D`` parameters. Projections start as the identity, as
    in the released code: training begins with attention by the agreement of
    text and frames. On images it works; the attention there has one frame.

    Args:
        dropout: Probability on the last projection, 0.3 in the paper.
    """

    def __init__(self, *, dropout: float = 0.3) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)

    def bind(self, embed_dim: int) -> None:
        """Builds projections and LayerNorms for embeddings of width D."""
        for name in ('query', 'key', 'value', 'out', 'linear'):
            projection = nn.Linear(embed_dim, embed_dim)
            nn.init.eye_(projection.weight)
            nn.init.zeros_(projection.bias)
            self.add_module(name, projection)
        self.norm_in, self.norm_pooled, self.norm_out = (nn.LayerNorm(embed_dim) for _ in range(3))

    def forward(self, text: Features, visual: Features) -> Tensor:
        """Cosines ``(N, M)``, float32, of N texts and M visual items."""
        width = require_tokens(visual, 'XPool').shape[-1]
        # The pooled video and what follows it: about 8 tensors of (N, M, D).
        return score_in_chunks(self._score, text, visual, 8 * width)

    def frame_weights(self, text: Features, visual: Features) -> Tensor:
        """Attention ``(N, M, T)`` of each text to the frames of an item."""
        frames = self.norm_in(require_tokens(visual, 'XPool').float())
        return self._attention(text.pooled.float(), frames, visual.mask)

    def _score(self, text: Features, visual: Features) -> Tensor:
        texts, frames = text.pooled.float(), self.norm_in(require_tokens(visual, 'XPool').float())  # (N, D), (M, T, D)
        pooled = torch.einsum('nmt,mtd->nmd', self._attention(texts, frames, visual.mask), self.value(frames))
        pooled = self.norm_pooled(self.out(pooled))
        pooled = self.norm_out(pooled + self.dropout(self.linear(pooled)))
        return torch.einsum('nd,nmd->nm', unit(texts), unit(pooled))

    def _attention(self, texts: Tensor, frames: Tensor, mask: Tensor | None) -> Tensor:
        """Attention ``(N, M, T)`` of texts ``(N, D)`` to normalised frames ``(M, T, D)``."""
        queries = self.query(self.norm_in(texts)) / texts.shape[-1]**0.5
        logits = torch.einsum('nd,mtd->nmt', queries, self.key(frames))
        if mask is not None:
            logits = logits.masked_fill(~mask, float('-inf'))
        return logits.softmax(dim=-1)
