"""Weighted interaction of words and frames (DRL's WTI: Wang et al., arXiv 2203.07111, 2022)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmcma.models.backbones.tower import TextTower
from mmcma.models.similarities.base import Init, Similarity, check_init, require_tokens, unit
from mmcma.models.similarities.chunks import score_in_chunks
from mmcma.models.similarities.transformer import start_as_bert
from mmcma.registry import MODELS
from mmcma.structures import Features
from mmcma.utils.errors import ConfigError


@MODELS.register_module()
class TokenWise(Similarity):
    """Every word finds its best frame and every frame its best word; weighted means of their cosines.

    With words x_i, frames y_j and c_ij their cosines, the score is
    ``(sum_i u_i max_j c_ij + sum_j v_j max_i c_ij) / 2``; the weights u and v
    are softmaxes over words and frames of a small network's output, one for
    each modality. Padding has no weight; to what looks for its best match it is,
    as in DRL's code, a match of cosine 0: every caption shorter than the most
    tokens has such padding, and every clip shorter than its mask.

    Trains ``2 (D^2 + 2 D)`` parameters. On images it works, with one frame; a
    text tower must give embeddings of words.

    Args:
        init: ``'identity'``: each network's last layer starts at zero, and training begins with equal weights.
            ``'released'``, as DRL: weights from a normal distribution of standard deviation 0.02.
    """
    needs_text_tokens = True

    def __init__(self, *, init: Init = 'identity') -> None:
        super().__init__()
        check_init(self, init)
        self.init = init
        self.max_words = 0  # not known

    def bind(self, embed_dim: int) -> None:
        """Builds the networks that weigh words and frames, for embeddings of width D."""
        self.word_weight, self.frame_weight = (_weight_network(embed_dim) for _ in range(2))
        if self.init == 'released':
            start_as_bert(self.word_weight)
            start_as_bert(self.frame_weight)

    def bind_text(self, tower: TextTower, max_words: int) -> None:
        """Learns from how many tokens on a caption has no padding."""
        self.max_words = max_words

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
        best_frame = _or_padding(by_word.amax(dim=3), _padded(visual.mask)[:, None])  # (N, M, L)
        best_word = _or_padding(by_frame.amax(dim=2), _padded(text.mask, self.max_words)[:, None, None])  # (N, M, T)
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


def _padded(mask: Tensor | None, limit: int = 0) -> Tensor:
    """Which rows of a mask ``(B, L)`` have padding, or would have it at a length of ``limit``: bool ``(B,)``."""
    return torch.zeros(1, dtype=torch.bool) if mask is None else mask.sum(dim=1) < max(limit, mask.shape[1])


def _or_padding(best: Tensor, padded: Tensor) -> Tensor:
    """The best cosines, or 0 where that is better and there is padding."""
    return torch.where(padded.to(best.device), best.relu(), best)


def _gaps(tokens: Tensor, mask: Tensor | None) -> Tensor:
    """Minus infinity at padding and 0 at tokens: ``(B, L, D)`` -> ``(B, L)``."""
    gaps = tokens.new_zeros(tokens.shape[:2])
    return gaps if mask is None else gaps.masked_fill(~mask, float('-inf'))
