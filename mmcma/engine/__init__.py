from . import runner_loading  # noqa: F401
from .atomic_backend import AtomicBackend
from .distributed import RetrieverDataParallel
from .hooks import (
    ActivationCheckpointHook,
    BestCheckpointHook,
    CollapseHook,
    ExportBackboneHook,
    FrozenParameterHook,
    ResumeHook,
    RetrievalReportHook,
)
from .loops import RetrievalTestLoop, RetrievalValLoop
from .optim import TrainedOptimWrapperConstructor, WarmupCosineLR
from .train_loop import EpochBasedTrainLoop

__all__ = ['ActivationCheckpointHook', 'AtomicBackend', 'BestCheckpointHook', 'CollapseHook', 'EpochBasedTrainLoop',
           'ExportBackboneHook', 'FrozenParameterHook', 'ResumeHook', 'RetrievalReportHook', 'RetrievalTestLoop',
           'RetrievalValLoop', 'RetrieverDataParallel', 'TrainedOptimWrapperConstructor', 'WarmupCosineLR']
