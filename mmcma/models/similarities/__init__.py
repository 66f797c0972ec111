from .base import Similarity
from .mean_pool import MeanPool
from .query_score import QueryScore
from .seq_lstm import SeqLSTM
from .seq_transformer import SeqTransformer
from .tight_transformer import TightTransformer
from .token_wise import TokenWise
from .top_k_frames import TopKFrames
from .xpool import XPool

__all__ = ['MeanPool', 'QueryScore', 'SeqLSTM', 'SeqTransformer', 'Similarity', 'TightTransformer', 'TokenWise',
           'TopKFrames', 'XPool']
