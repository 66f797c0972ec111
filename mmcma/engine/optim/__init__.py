from mmengine.registry import OPTIMIZERS
from transformers import Adafactor

from .bert_adam import BertAdam
from .trained_optim_wrapper_constructor import TrainedOptimWrapperConstructor
from .warmup_cosine_lr import WarmupCosineLR

__all__ = ['BertAdam', 'TrainedOptimWrapperConstructor', 'WarmupCosineLR']

if 'Adafactor' not in OPTIMIZERS:  # mmcma.models.lean_mmengine says why
    OPTIMIZERS.register_module(name='Adafactor', module=Adafactor)
