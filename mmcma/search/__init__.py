"""Galleries: folders of videos and images, encoded once, that can be searched."""
from .frame_store import Item
from .gallery import Gallery, Hit, open_gallery
from .indexing import IndexReport, index_folder

__all__ = ['Gallery', 'Hit', 'IndexReport', 'Item', 'index_folder', 'open_gallery']
