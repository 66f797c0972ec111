"""How good a retriever is: ranks, and the metric that gathers them over a test set."""
from .dual_softmax import DualSoftmax
from .extra import Extra
from .moment_metric import MomentMetric
from .querybank_norm import QuerybankNorm
from .ranking import RetrievalRanks, TiledScores, rank_metrics, retrieval_ranks
from .reranking import Reranking
from .retrieval_metric import RetrievalMetric
from .retrieval_result import RetrievalResult

__all__ = ['DualSoftmax', 'Extra', 'MomentMetric', 'QuerybankNorm', 'Reranking', 'RetrievalMetric',
           'RetrievalRanks', 'RetrievalResult', 'TiledScores', 'rank_metrics', 'retrieval_ranks']
