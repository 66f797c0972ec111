"""Configs: read, merged with options, and checked before anything is built."""
from .checking import check_config
from .places import building
from .reading import RUNNER_KEYS, load_config, parse_options
from .run_settings import check_run_settings

__all__ = ['RUNNER_KEYS', 'building', 'check_config', 'check_run_settings', 'load_config', 'parse_options']
