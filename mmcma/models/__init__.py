from .backbones import HFTextTower, HFVisionTower, Site, Tower
from .data_preprocessor import RetrievalDataPreprocessor
from .heads import RetrievalHead
from .losses import SymmetricInfoNCE
from .necks import CombinedNeck, CrossModalAdapter, Neck
from .retriever import CrossModalRetriever
from .similarities import MeanPool, QueryScore, Similarity

__all__ = ['CombinedNeck', 'CrossModalAdapter', 'CrossModalRetriever', 'HFTextTower', 'HFVisionTower', 'MeanPool',
           'Neck', 'QueryScore', 'RetrievalDataPreprocessor', 'RetrievalHead', 'Similarity', 'Site',
           'SymmetricInfoNCE', 'Tower']
