from .bert_adam import BertAdam
from .trained_optim_wrapper_constructor import TrainedOptimWrapperConstructor
from .warmup_cosine_lr import WarmupCosineLR

__all__ = ['BertAdam', 'TrainedOptimWrapperConstructor', 'WarmupCosineLR']
