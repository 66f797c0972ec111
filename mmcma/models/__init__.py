from .backbones import HFTextTower, HFVisionTower, Site
from .data_preprocessor import RetrievalDataPreprocessor
from .heads import RetrievalHead
from .losses import SymmetricInfoNCE
from .necks import CrossModalAdapter
from .retriever import CrossModalRetriever
from .similarities import MeanPool, QueryScore, Similarity

__all__ = ['CrossModalAdapter', 'CrossModalRetriever', 'HFTextTower', 'HFVisionTower', 'MeanPool', 'QueryScore',
           'RetrievalDataPreprocessor', 'RetrievalHead', 'Similarity', 'Site', 'SymmetricInfoNCE']
