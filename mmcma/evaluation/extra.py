"""Further ranks of a test set, which are reported beside the plain ones and never as them."""
from collections.abc import Sequence

from torch import Tensor

from mmcma.evaluation.ranking import V2T_PROTOCOLS, RetrievalRanks, TiledScores, retrieval_ranks
from mmcma.evaluation.sweeps import ScoreMatrix, Transposed


class Extra:
    """Ranks under a key of their own.

    Args:
        key: Put before the names of the figures: ``'dsl'`` for ``dsl/t2v/R@1``.

    Attributes:
        v2t_protocols (tuple[str, ...]): The protocols that it knows.
    """
    v2t_protocols: tuple[str, ...] = V2T_PROTOCOLS

    def __init__(self, *, key: str) -> None:
        self.key = key

    def ranks(self, scores: TiledScores, caption_item: Tensor | Sequence[int], *, text_block: int, visual_block: int,
              **ranking) -> RetrievalRanks:
        """Ranks of both directions, with the arguments of :func:`~mmcma.evaluation.retrieval_ranks`."""
        raise NotImplementedError


class Rescoring(Extra):
    """Ranks by scores that were revised with what other queries score.

    Texts are the queries of the one direction and visual items those of the
    other, so that each direction has its own revised scores.
    """

    def ranks(self, scores: TiledScores, caption_item: Tensor | Sequence[int], *, text_block: int, visual_block: int,
              **ranking) -> RetrievalRanks:
        """Ranks of both directions, each by its revised scores."""
        ranking.update(text_block=text_block, visual_block=visual_block)
        text_bank, visual_bank = self.banks(scores)
        by_text = self.rescored(scores, text_bank, (text_block, visual_block))
        by_item = self.rescored(Transposed(scores), Transposed(visual_bank), (visual_block, text_block))
        t2v = retrieval_ranks(by_text, caption_item, **ranking)
        return t2v._replace(v2t=retrieval_ranks(Transposed(by_item), caption_item, **ranking).v2t)

    def banks(self, scores: TiledScores) -> tuple[TiledScores, TiledScores]:
        """Scores of the texts, and of the visual items, by which scores are revised: the test set's own."""
        return scores, scores

    def rescored(self, scores: ScoreMatrix, bank: ScoreMatrix, block_sizes: tuple[int, int]) -> ScoreMatrix:
        """The revised score matrix.

        Args:
            scores: ``(Q, G)``, scores of queries and the gallery.
            bank: ``(B, G)``, scores of the bank's queries and the same gallery.
            block_sizes: Rows and columns of a tile.

        Returns:
            ``(Q, G)``, whose tiles are computed when they are read.
        """
        raise NotImplementedError
