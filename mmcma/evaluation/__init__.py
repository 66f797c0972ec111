"""How good a retriever is: ranks, and the metric that gathers them over a test set."""
from .ranking import RetrievalRanks, TiledScores, rank_metrics, retrieval_ranks
from .retrieval_metric import RetrievalMetric, RetrievalResult

__all__ = ['RetrievalMetric', 'RetrievalRanks', 'RetrievalResult', 'TiledScores', 'rank_metrics',
           'retrieval_ranks']
