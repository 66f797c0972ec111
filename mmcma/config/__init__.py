"""Configs: read, merged with options, and checked before anything is built."""
from .checking import check_config
from .options import RUNNER_KEYS, parse_options
from .places import building
from .reading import load_config, own_config
from .run_settings import check_run_settings, set_report
from .sharing import LOADERS

__all__ = [
    'LOADERS', 'RUNNER_KEYS', 'building', 'check_config', 'check_run_settings', 'load_config', 'own_config',
    'parse_options', 'set_report',
]
