"""Annotation files as data sets publish them, and the media files that they name."""
