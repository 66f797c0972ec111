"""A gallery over HTTP: an API, and a page that is a client of it."""
from .app import make_app

__all__ = ['make_app']
