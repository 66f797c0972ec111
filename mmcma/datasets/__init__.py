"""Data sets and their pipelines."""
from .activitynet import ActivityNetCaptions
from .captioned_files import CaptionedFiles
from .coco import COCO
from .didemo import DiDeMo
from .flickr8k import Flickr8k
from .flickr30k import Flickr30k
from .glyph_motion.dataset import GlyphMotion
from .glyph_motion.frame_captions import DescribeGlyphFrames
from .glyph_motion.glyph_pictures import GlyphPictures
from .lsmdc import LSMDC
from .msrvtt import MSRVTT
from .msvd import MSVD
from .retrieval_dataset import RetrievalDataset
from .transforms import LoadFrameCaptions, LoadImage, LoadVideoFrames, PackRetrievalInputs, ResizeCrop
from .vatex import VATEX
from .video.reader import VideoReader, open_video

__all__ = [
    'COCO', 'LSMDC', 'MSRVTT', 'MSVD', 'VATEX', 'ActivityNetCaptions', 'CaptionedFiles', 'DescribeGlyphFrames',
    'DiDeMo', 'Flickr30k', 'Flickr8k', 'GlyphMotion', 'GlyphPictures', 'LoadFrameCaptions', 'LoadImage',
    'LoadVideoFrames', 'PackRetrievalInputs', 'ResizeCrop', 'RetrievalDataset', 'VideoReader', 'open_video',
]
