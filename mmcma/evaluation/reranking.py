"""An expensive similarity that re-orders what a cheap one found."""
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from mmcma.evaluation.extra import Extra
from mmcma.evaluation.ranking import RetrievalRanks, TiledScores, retrieval_ranks
from mmcma.evaluation.sweeps import ScoreMatrix, Transposed, top_columns
from mmcma.registry import METRICS, MODELS
from mmcma.utils.errors import ConfigError, argument_error


@METRICS.register_module()
class Reranking(Extra):
    """Ranks when the model's similarity re-orders the ``top_n`` best of a cheap first stage.

    The first stage ranks the whole gallery, and its ``top_n`` best, of equal
    ones those that come first, are the candidates. Where a query's own entry
    is a candidate, its rank is that among the candidates by the model's
    similarity: 1 + better + equal / 2. Otherwise the order of the first stage
    stands, below all candidates: the larger of its rank there and ``top_n + 1``.
    Of an item's captions, visual to text, the best counts. With ``top_n`` no
    less than the gallery this is the plain ranking, which stands beside it.

    Args:
        first_stage: Config of a similarity without weights.
        top_n: Candidates of each query, at least 1.
        key: Put before the names of the figures, such as ``'rerank/t2v/R@1'``.

    Raises:
        ConfigError: The first stage has weights, which nothing trains, or ``top_n`` is below 1.
    """
    v2t_protocols = ('best_caption',)

    def __init__(self, *, first_stage: dict | None = None, top_n: int = 50, key: str = 'rerank') -> None:
        super().__init__(key=key)
        if top_n < 1:
            raise argument_error(self, 'top_n', top_n, 'must be at least 1.')
        self.first_stage = MODELS.build(first_stage or dict(type='MeanPool'))
        self.first_stage.bind(1)
        if list(self.first_stage.parameters()):
            raise ConfigError(f'Reranking.first_stage={type(self.first_stage).__name__} has weights of its own, which '
                              'nothing trains; take MeanPool, QueryScore or TopKFrames')
        self.top_n = top_n

    def ranks(self, scores: TiledScores, caption_item: Tensor | Sequence[int], *, text_block: int, visual_block: int,
              **ranking) -> RetrievalRanks:
        """Ranks of both directions, the candidates of the first stage in the order of ``scores``."""
        first = replace(scores, similarity=self.first_stage)
        ranks = retrieval_ranks(first, caption_item, text_block=text_block, visual_block=visual_block, **ranking)
        owner = torch.as_tensor(caption_item)  # (N,)
        item = torch.arange(scores.shape[1])  # (M,)
        candidates = top_columns(first, self.top_n, (text_block, visual_block))
        t2v = self._reordered(scores, candidates, item[candidates] == owner[:, None], ranks.t2v)
        candidates = top_columns(Transposed(first), self.top_n, (visual_block, text_block))
        v2t = self._reordered(Transposed(scores), candidates, owner[candidates] == item[:, None], ranks.v2t)
        return ranks._replace(t2v=t2v, v2t=v2t)

    def _reordered(self, scores: ScoreMatrix, candidates: Tensor, is_own: Tensor, first_ranks: Tensor) -> Tensor:
        """Ranks of the Q rows of ``scores``.

        Args:
            scores: ``(Q, G)``, scores by the model's similarity.
            candidates: int64 ``(Q, n)``, columns.
            is_own: bool ``(Q, n)``, which candidates belong to the query.
            first_ranks: float64 ``(Q,)``, ranks of the first stage.

        Returns:
            float64 ``(Q,)``.
        """
        ranks = first_ranks.clamp(min=self.top_n + 1)
        for row in is_own.any(dim=1).nonzero().flatten().tolist():
            found = torch.as_tensor(scores[row:row + 1, candidates[row]]).float().cpu()[0]  # (n,)
            rivals, own = found[~is_own[row]], found[is_own[row]].max()
            ranks[row] = 1 + (rivals > own).sum() + (rivals == own).sum() / 2
        return ranks
