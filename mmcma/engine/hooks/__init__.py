from .activation_checkpoint_hook import ActivationCheckpointHook
from .best_checkpoint_hook import BestCheckpointHook
from .collapse_hook import CollapseHook
from .export_backbone_hook import ExportBackboneHook
from .frozen_parameter_hook import FrozenParameterHook
from .resume_hook import ResumeHook
from .retrieval_report_hook import RetrievalReportHook

__all__ = ['ActivationCheckpointHook', 'BestCheckpointHook', 'CollapseHook', 'ExportBackboneHook',
           'FrozenParameterHook', 'ResumeHook', 'RetrievalReportHook']
