"""Pipeline steps."""
from .cached import LoadCachedFrames
from .loading import LoadImage, LoadVideoFrames
from .packing import PackRetrievalInputs
from .processing import ResizeCrop

__all__ = ['LoadCachedFrames', 'LoadImage', 'LoadVideoFrames', 'PackRetrievalInputs', 'ResizeCrop']
