"""Galleries: folders of videos and images, encoded once, that can be searched."""
from .frame_store import Item
from .gallery import Gallery, Hit
from .indexing import IndexReport, index_folder
from .opening import open_gallery

__all__ = ['Gallery', 'Hit', 'IndexReport', 'Item', 'index_folder', 'open_gallery']
