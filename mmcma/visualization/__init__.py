"""Pages, plots and tables for people."""
from .retrieval_visualizer import RetrievalVisualizer

__all__ = ['RetrievalVisualizer']
