from . import lean_mmengine  # noqa: F401  # before any other import of mmengine.model
from .backbones import HFTextTower, HFVisionTower, MMPretrainTower, Site, Tower
from .data_preprocessor import RetrievalDataPreprocessor
from .heads import RetrievalHead
from .losses import DualSoftmaxLoss, RetrievalLoss, SigmoidLoss, SymmetricInfoNCE
from .necks import (
    DGL,
    STOP,
    VPT,
    AdaptFormer,
    BottleneckAdapter,
    CombinedNeck,
    CoOp,
    CrossModalAdapter,
    DiscoVLA,
    LoRA,
    MaPLe,
    MVAdapter,
    Neck,
    PromptSwitch,
    STAdapter,
    TempMe,
    VideoVoP,
    VLPrompt,
    VoP,
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
           'DGL', 'DiscoVLA', 'DualSoftmaxLoss', 'HFTextTower', 'HFVisionTower', 'LoRA', 'MaPLe', 'MeanPool',
           'MMPretrainTower', 'MVAdapter', 'Neck', 'PromptSwitch', 'QueryScore', 'RetrievalDataPreprocessor',
           'RetrievalHead', 'RetrievalLoss', 'SeqLSTM', 'SeqTransformer', 'SigmoidLoss', 'Similarity', 'Site',
           'STAdapter', 'STOP', 'SymmetricInfoNCE', 'TempMe', 'TightTransformer', 'TokenWise', 'TopKFrames', 'Tower',
           'VideoVoP', 'VLPrompt', 'VoP', 'VPT', 'XPool']
