"""Weighted interaction of words and frames (DRL's WTI: Wang et al., arXiv 2203.07111, 2022)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmcma.models.similarities.base import Similarity, require_tokens, unit
from mmcma.models.similarities.chunks import score_in_chunks
from mmcma.registry import MODELS
from mmcma.structures import Features
from mmcma.utils.errors import ConfigError


@MODELS.register_module()
class TokenWise(Similarity):
    """Every word finds its best frame and every frame its best word; weighted means of their cosines.

    With words x_i, frames y_j and c_ij their cosines, the score is
    ``(sum_i u_i max_j c_ij + sum_j v_j max_i c_ij) / 2``; the weights u and v
    are softmaxes over words and frames of a small network's output, one for
    each modality. Padding words and frames are left out of both.

    Trains ``2 (D^2 + 2 D)`` parameters. Each network's last layer starts at
    zero: training begins with equal weights. On images it works, with one
    frame; a text tower must give embeddings of words.
    """
    needs_text_tokens = True

    def bind(self, embed_dim: int) -> None:
        """Builds the networks that weigh words and frames, for embeddings of width D."""
        self.word_weight, self.frame_weight = (_weight_network(embed_dim) for _ in range(2))

    def forward(self, text: Features, visual: Features) -> Tensor:
        """Weighted means of cosines ``(N, M)``, float32, of N texts and M visual items."""
        words, frames = _words_and_frames(text, visual)
        # The cosines (N, M, L, T), masked for either direction.
        return score_in_chunks(self._score, text, visual, 3 * words.shape[1] * frames.shape[1])

    def frame_weights(self, text: Features, visual: Features) -> Tensor:
        """Weights ``(N, M, T)``: half a frame's own weight v_j, half the weights u_i of the words that find it."""
        by_word, _, word_weights, frame_weights = self._compare(text, visual)
        finds = F.one_hot(by_word.argmax(dim=3), by_word.shape[3]).to(word_weights)  # (N, M, L, T)
        return (torch.einsum('nmlt,nl->nmt', finds, word_weights) + frame_weights) / 2

    def _score(self, text: Features, visual: Features) -> Tensor:
        by_word, by_frame, word_weights, frame_weights = self._compare(text, visual)
        best_frame, best_word = by_word.amax(dim=3), by_frame.amax(dim=2)  # (N, M, L), (N, M, T)
        return (torch.einsum('nml,nl->nm', best_frame, word_weights)
                + torch.einsum('nmt,mt->nm', best_word, frame_weights)) / 2

    def _compare(self, text: Features, visual: Features) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Cosines ``(N, M, L, T)`` without padding frames, then without padding words; u ``(N, L)``, v ``(M, T)``."""
        words, frames = (tokens.float() for tokens in _words_and_frames(text, visual))
        word_gaps, frame_gaps = _gaps(words, text.mask), _gaps(frames, visual.mask)  # (N, L), (M, T)
        cosines = torch.einsum('nld,mtd->nmlt', unit(words), unit(frames))
        word_weights = (self.word_weight(words).squeeze(-1) + word_gaps).softmax(dim=-1)  # (N, L)
        frame_weights = (self.frame_weight(frames).squeeze(-1) + frame_gaps).softmax(dim=-1)  # (M, T)
        return cosines + frame_gaps[:, None], cosines + word_gaps[:, None, :, None], word_weights, frame_weights


def _words_and_frames(text: Features, visual: Features) -> tuple[Tensor, Tensor]:
    """Embeddings of words ``(N, L, D)`` and of frames ``(M, T, D)``.

    Raises:
        ConfigError: A tower gives no such embeddings.
    """
    frames = require_tokens(visual, 'TokenWise')
    if text.tokens is None:
        raise ConfigError('TokenWise compares words, but the text tower gives no embeddings '
                          'of words; use a similarity of pooled embeddings or another tower.')
    return text.tokens, frames


def _weight_network(embed_dim: int) -> nn.Sequential:
    """A network ``(…, D)`` -> ``(…, 1)``; without a last bias, which a softmax would not see."""
    last = nn.Linear(embed_dim, 1, bias=False)
    nn.init.zeros_(last.weight)
    return nn.Sequential(nn.Linear(embed_dim, embed_dim), nn.ReLU(), last)


def _gaps(tokens: Tensor, mask: Tensor | None) -> Tensor:
    """Minus infinity at padding and 0 at tokens: ``(B, L, D)`` -> ``(B, L)``."""
    gaps = tokens.new_zeros(tokens.shape[:2])
    return gaps if mask is None else gaps.masked_fill(~mask, float('-inf'))
