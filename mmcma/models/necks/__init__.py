from .adaptformer import AdaptFormer
from .base import Neck
from .bottleneck_adapter import BottleneckAdapter
from .combined import CombinedNeck
from .coop import CoOp
from .cross_modal_adapter import CrossModalAdapter
from .lora import LoRA
from .maple import MaPLe
from .mv_adapter import MVAdapter
from .st_adapter import STAdapter
from .tempme import TempMe
from .vl_prompt import VLPrompt
from .vpt import VPT

__all__ = ['AdaptFormer', 'BottleneckAdapter', 'CombinedNeck', 'CoOp', 'CrossModalAdapter', 'LoRA', 'MaPLe',
           'MVAdapter', 'Neck', 'STAdapter', 'TempMe', 'VLPrompt', 'VPT']
