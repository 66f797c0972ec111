"""Imports mmengine's models without the trainers of transformers, and with them peft: more than a second.

mmengine asks transformers for Adafactor where it imports optimizers; :mod:`mmcma.engine.optim` registers it instead.
"""
import sys

_MODULE = 'transformers.optimization'

if _MODULE not in sys.modules:
    sys.modules[_MODULE] = None  # type: ignore[assignment]  # importing it fails, which mmengine expects
    try:
        import mmengine.model  # noqa: F401
    finally:
        del sys.modules[_MODULE]
