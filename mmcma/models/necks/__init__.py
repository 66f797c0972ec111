from .base import Neck
from .combined import CombinedNeck
from .coop import CoOp
from .cross_modal_adapter import CrossModalAdapter
from .maple import MaPLe
from .vl_prompt import VLPrompt
from .vpt import VPT

__all__ = ['CoOp', 'CombinedNeck', 'CrossModalAdapter', 'MaPLe', 'Neck', 'VLPrompt', 'VPT']
