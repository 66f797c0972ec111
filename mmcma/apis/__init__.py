"""Models and retrieval from Python."""
from mmcma.checkpoints.plain_loading import trusted_checkpoints

from .export import export_adapter
from .inferencer import EncodedBatch, Match, RetrievalInferencer
from .model import init_model, load_adapter

__all__ = ['EncodedBatch', 'Match', 'RetrievalInferencer', 'export_adapter', 'init_model', 'load_adapter',
           'trusted_checkpoints']
