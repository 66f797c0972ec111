"""Configs: read, merged with options, and checked before anything is built."""
from .checking import check_config
from .reading import RUNNER_KEYS, load_config, parse_options

__all__ = ['RUNNER_KEYS', 'check_config', 'load_config', 'parse_options']
