"""Galleries: folders of videos and images, encoded once, that can be searched."""
from .gallery import Gallery, Hit, open_gallery
from .indexing import IndexReport, index_folder
from .rows import Moment

__all__ = ['Gallery', 'Hit', 'IndexReport', 'Moment', 'index_folder', 'open_gallery']
