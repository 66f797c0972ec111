"""Pipeline steps."""
from .base import BaseTransform
from .cached import LoadCachedFrames
from .loading import LoadImage, LoadVideoFrames
from .packing import PackRetrievalInputs
from .processing import ResizeCrop

__all__ = ['BaseTransform', 'LoadCachedFrames', 'LoadImage', 'LoadVideoFrames', 'PackRetrievalInputs', 'ResizeCrop']
