from .backbones import HFTextTower, HFVisionTower, Site, Tower
from .data_preprocessor import RetrievalDataPreprocessor
from .heads import RetrievalHead
from .losses import SymmetricInfoNCE
from .necks import VPT, CombinedNeck, CoOp, CrossModalAdapter, MaPLe, Neck, VLPrompt
from .retriever import CrossModalRetriever
from .similarities import MeanPool, QueryScore, Similarity

__all__ = ['CoOp', 'CombinedNeck', 'CrossModalAdapter', 'CrossModalRetriever', 'HFTextTower', 'HFVisionTower',
           'MaPLe', 'MeanPool', 'Neck', 'QueryScore', 'RetrievalDataPreprocessor', 'RetrievalHead', 'Similarity',
           'Site', 'SymmetricInfoNCE', 'Tower', 'VLPrompt', 'VPT']
