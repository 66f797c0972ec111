"""Galleries: folders of videos and images, encoded once, that can be searched.

What needs PyTorch is imported when it is first asked for: a client of a running service does without.
"""
from importlib import import_module
from typing import TYPE_CHECKING

from .client import Client
from .hit import Hit

if TYPE_CHECKING:
    from .gallery import Gallery, open_gallery
    from .indexing import IndexReport, index_folder
    from .rows import Moment

__all__ = ['Client', 'Gallery', 'Hit', 'IndexReport', 'Moment', 'index_folder', 'open_gallery']
_PLACES = dict(Gallery='gallery', open_gallery='gallery', IndexReport='indexing', index_folder='indexing',
               Moment='rows')


def __getattr__(name: str):
    if name not in _PLACES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_PLACES[name]}'), name)
