from .adaptformer import AdaptFormer
from .base import Neck
from .bottleneck_adapter import BottleneckAdapter
from .combined import CombinedNeck
from .coop import CoOp
from .cross_modal_adapter import CrossModalAdapter
from .lora import LoRA
from .maple import MaPLe
from .st_adapter import STAdapter
from .vl_prompt import VLPrompt
from .vpt import VPT

__all__ = ['AdaptFormer', 'BottleneckAdapter', 'CoOp', 'CombinedNeck', 'CrossModalAdapter', 'LoRA', 'MaPLe', 'Neck',
           'STAdapter', 'VLPrompt', 'VPT']
