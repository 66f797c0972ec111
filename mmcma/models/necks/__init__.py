from .adaptformer import AdaptFormer
from .base import Neck
from .bottleneck_adapter import BottleneckAdapter
from .combined import CombinedNeck
from .coop import CoOp
from .cross_modal_adapter import CrossModalAdapter
from .dgl import DGL
from .discovla import DiscoVLA
from .lora import LoRA
from .maple import MaPLe
from .mv_adapter import MVAdapter
from .prompt_switch import PromptSwitch
from .st_adapter import STAdapter
from .stop import STOP
from .tempme import TempMe
from .video_vop import VideoVoP
from .vl_prompt import VLPrompt
from .vop import VoP
from .vpt import VPT

__all__ = ['AdaptFormer', 'BottleneckAdapter', 'CombinedNeck', 'CoOp', 'CrossModalAdapter', 'DGL', 'DiscoVLA', 'LoRA',
           'MaPLe', 'MVAdapter', 'Neck', 'PromptSwitch', 'STAdapter', 'STOP', 'TempMe', 'VideoVoP', 'VLPrompt',
           'VoP', 'VPT']
