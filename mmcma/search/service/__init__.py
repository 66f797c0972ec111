"""A page on which a gallery is searched in a browser."""
from .app import LOOPBACK, make_app

__all__ = ['LOOPBACK', 'make_app']
