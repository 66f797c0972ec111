"""Pipeline steps."""
from .loading import LoadImage, LoadVideoFrames
from .packing import PackRetrievalInputs
from .processing import ResizeCrop

__all__ = ['LoadImage', 'LoadVideoFrames', 'PackRetrievalInputs', 'ResizeCrop']
