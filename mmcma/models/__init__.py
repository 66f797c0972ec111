from . import lean_mmengine  # noqa: F401  # before any other import of mmengine.model
from .backbones import HFTextTower, HFVisionTower, MMPretrainTower, Site, Tower
from .data_preprocessor import RetrievalDataPreprocessor
from .heads import RetrievalHead
from .losses import DualSoftmaxLoss, RetrievalLoss, SigmoidLoss, SymmetricInfoNCE
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
from .similarities import (
    MeanPool,
    QueryScore,
    SeqLSTM,
    SeqTransformer,
    Similarity,
    TightTransformer,
    TokenWise,
    TopKFrames,
    XPool,
)

__all__ = ['AdaptFormer', 'BottleneckAdapter', 'CombinedNeck', 'CoOp', 'CrossModalAdapter', 'CrossModalRetriever',
           'DualSoftmaxLoss', 'HFTextTower', 'HFVisionTower', 'LoRA', 'MaPLe', 'MeanPool', 'MMPretrainTower',
           'MVAdapter', 'Neck', 'QueryScore', 'RetrievalDataPreprocessor', 'RetrievalHead', 'RetrievalLoss',
           'SeqLSTM', 'SeqTransformer', 'SigmoidLoss', 'Similarity', 'Site', 'STAdapter', 'SymmetricInfoNCE',
           'TightTransformer', 'TokenWise', 'TopKFrames', 'Tower', 'VLPrompt', 'VPT', 'XPool']
