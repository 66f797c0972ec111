from .base import RetrievalLoss
from .dual_softmax import DualSoftmaxLoss
from .info_nce import SymmetricInfoNCE
from .sigmoid import SigmoidLoss

__all__ = ['DualSoftmaxLoss', 'RetrievalLoss', 'SigmoidLoss', 'SymmetricInfoNCE']
