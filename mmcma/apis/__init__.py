"""Models and retrieval from Python."""
from mmcma.utils.plain_loading import trusted_checkpoints

from .export import export_adapter
from .inferencer import RetrievalInferencer
from .model import init_model, load_adapter
from .results import EncodedBatch, Match, MomentMatch

__all__ = ['EncodedBatch', 'Match', 'MomentMatch', 'RetrievalInferencer', 'export_adapter', 'init_model',
           'load_adapter', 'trusted_checkpoints']
