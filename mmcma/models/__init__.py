from .backbones import HFTextTower, HFVisionTower, MMPretrainTower, Site, Tower
from .data_preprocessor import RetrievalDataPreprocessor
from .heads import RetrievalHead
from .losses import SymmetricInfoNCE
from .necks import (
    VPT,
    AdaptFormer,
    BottleneckAdapter,
    CombinedNeck,
    CoOp,
    CrossModalAdapter,
    LoRA,
    MaPLe,
    MVAdapter,
    Neck,
    STAdapter,
    VLPrompt,
)
from .retriever import CrossModalRetriever
from .similarities import MeanPool, QueryScore, Similarity

__all__ = ['AdaptFormer', 'BottleneckAdapter', 'CombinedNeck', 'CoOp', 'CrossModalAdapter', 'CrossModalRetriever',
           'HFTextTower', 'HFVisionTower', 'LoRA', 'MMPretrainTower', 'MaPLe', 'MeanPool', 'MVAdapter', 'Neck',
           'QueryScore', 'RetrievalDataPreprocessor', 'RetrievalHead', 'Similarity', 'Site', 'STAdapter',
           'SymmetricInfoNCE', 'Tower', 'VLPrompt', 'VPT']
