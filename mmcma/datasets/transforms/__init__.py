"""Pipeline steps."""
from .base import BaseTransform
from .cached import LoadCachedFrames
from .frame_captions import LoadFrameCaptions
from .loading import LoadImage, LoadVideoFrames
from .packing import PackRetrievalInputs
from .processing import ResizeCrop

__all__ = [
    'BaseTransform', 'LoadCachedFrames', 'LoadFrameCaptions', 'LoadImage', 'LoadVideoFrames', 'PackRetrievalInputs',
    'ResizeCrop',
]
