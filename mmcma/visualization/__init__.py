"""Pages, plots and tables for people."""
from .mlflow_backend import MLflowVisBackend
from .retrieval_visualizer import RetrievalVisualizer

__all__ = ['MLflowVisBackend', 'RetrievalVisualizer']
