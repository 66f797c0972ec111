from .atomic_backend import AtomicBackend
from .distributed import RetrieverDataParallel
from .hooks import (ActivationCheckpointHook, BestCheckpointHook, ExportBackboneHook, FrozenParameterHook,
                    ResumeHook)
from .loops import RetrievalTestLoop, RetrievalValLoop
from .optim import TrainedOptimWrapperConstructor

__all__ = ['ActivationCheckpointHook', 'AtomicBackend', 'BestCheckpointHook', 'ExportBackboneHook',
           'FrozenParameterHook', 'ResumeHook', 'RetrievalTestLoop', 'RetrievalValLoop',
           'RetrieverDataParallel', 'TrainedOptimWrapperConstructor']
