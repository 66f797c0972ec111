"""Interface of the similarities."""
from typing import Literal

from mmengine.model import BaseModule
from torch import Tensor
from torch.nn import functional as F

from mmcma.models.backbones.tower import TextTower
from mmcma.structures import Features
from mmcma.utils.errors import ConfigError, argument_error

#: How a similarity with weights starts: at the scores of a simpler one, or as its released code has it.
Init = Literal['identity', 'released']


class Similarity(BaseModule):
    """Scores every text against every visual item.

    A score depends on its own text and item alone, so that a block of texts
    against a block of items is a tile of the whole matrix. Padding frames, if
    any, follow a clip's own.

    Attributes:
        needs_text_tokens (bool): Whether it compares words, so that the text
            tower has to give their embeddings too.
        is_cosine (bool): Whether scores are cosines, which the head scales for
            the loss; False where they are logits as they are.
        least_tokens (int): Tokens of a clip below which it has nothing to do, where a neck leaves fewer than frames.
    """
    needs_text_tokens = False
    is_cosine = True
    least_tokens = 1

    def bind(self, embed_dim: int) -> None:
        """Learns the width D of the embeddings; one with weights builds them here."""

    def bind_text(self, tower: TextTower, max_words: int) -> None:
        """Learns, after the width, what encodes the texts and how many tokens a caption may have.

        Raises:
            ConfigError: The similarity starts from the tower's weights, and they do not fit.
        """

    def forward(self, text: Features, visual: Features) -> Tensor:
        """Scores ``(N, M)``, float32, of ``N`` texts and ``M`` visual items; cosines are not scaled."""
        raise NotImplementedError

    def frame_weights(self, text: Features, visual: Features) -> Tensor | None:
        """Share of each frame in a score: ``(N, M, T)``, sums over T are 1; None where frames have no weights."""
        return None


def unit(x: Tensor) -> Tensor:
    """``x`` with rows of length 1."""
    return F.normalize(x, dim=-1)


def require_tokens(visual: Features, name: str) -> Tensor:
    """The frame embeddings ``(M, T, D)``.

    Raises:
        ConfigError: The visual tower gives none.
    """
    if visual.tokens is None:
        raise ConfigError(f'{name} weighs frames, but the vision tower gives no frame '
                          'embeddings; use a similarity of pooled embeddings or another tower.')
    return visual.tokens


def check_init(part: Similarity, init: str) -> None:
    """Refuses what is no :data:`Init`.

    Raises:
        ConfigError: ``init``, an argument of ``part``, is neither.
    """
    if init not in ('identity', 'released'):
        raise argument_error(part, 'init', init, "must be 'identity' or 'released'.")
