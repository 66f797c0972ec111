"""Configs: read, merged with options, and checked before anything is built."""
from .checking import check_config
from .options import RUNNER_KEYS, parse_options
from .places import building
from .reading import load_config

__all__ = ['RUNNER_KEYS', 'building', 'check_config', 'load_config', 'parse_options']
