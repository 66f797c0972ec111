from .base import Similarity
from .mean_pool import MeanPool
from .query_score import QueryScore

__all__ = ['MeanPool', 'QueryScore', 'Similarity']
