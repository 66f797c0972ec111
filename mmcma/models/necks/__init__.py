from .base import Neck
from .combined import CombinedNeck
from .cross_modal_adapter import CrossModalAdapter

__all__ = ['CombinedNeck', 'CrossModalAdapter', 'Neck']
