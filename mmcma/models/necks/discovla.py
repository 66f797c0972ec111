"""DiscoVLA: discrepancy reduction in vision, language and alignment (Shen et al., CVPR 2025; arXiv 2506.08887)."""
from functools import partial

import torch
from torch import Tensor, nn

from mmcma.models.backbones.sites import PreNormLayer
from mmcma.models.backbones.tower import TextTower, VisionTower
from mmcma.models.necks.argument_checks import check_counts, check_depth
from mmcma.models.necks.base import Neck
from mmcma.models.necks.class_adapter import ClassAdapter
from mmcma.models.necks.clip_attention import attend, clip_mask, heads_of, in_clips, require_parts
from mmcma.models.necks.frame_captions import FrameCaptions, caption_losses
from mmcma.models.necks.joint_lora import joint_lora
from mmcma.registry import MODELS
from mmcma.structures import Features
from mmcma.utils.errors import ConfigError, argument_error


@MODELS.register_module()
class DiscoVLA(Neck):
    """Low-rank updates of attention in both towers, and class tokens that see the whole clip in the last vision layers.

    There a frame's class token attends to the tokens of all frames of its clip,
    and gets through a narrow adapter what it would have got from its own frame.
    This is the model that the public code (https://github.com/LunarShen/DsicoVLA) tests.

    With ``frame_captions`` its training has two losses more, for which each training pair brings a caption of each
    of its frames (:class:`~mmcma.datasets.transforms.LoadFrameCaptions`): ``image``, the contrast of frames with
    their captions, and ``distillation``, the divergence of the clips' scores from what that one compares. Those
    captions, and no others, see each other in the last text layers (:class:`~.frame_captions.FrameCaptions`).

    Args:
        lora_rank: Width of the updates and of the adapters.
        clip_layers: Number of those last vision layers.
        frame_captions: Whether frames are compared with captions of theirs.
        caption_layers: Number of those last text layers.
        image_weight, distillation_weight: Of the two losses, from 0 up.

    Raises:
        ConfigError: An argument is out of range or, in :meth:`attach`, does not fit the towers.
    """
    needs_several_frames = True
    frame_captions_where = 'frame_captions'

    def __init__(self, *, lora_rank: int = 8, clip_layers: int = 4, frame_captions: bool = False,
                 caption_layers: int = 2, image_weight: float = 0.3, distillation_weight: float = 1.0) -> None:
        super().__init__()
        check_counts(self, lora_rank=lora_rank, clip_layers=clip_layers, caption_layers=caption_layers)
        for name, weight in (('image_weight', image_weight), ('distillation_weight', distillation_weight)):
            if weight < 0:
                raise argument_error(self, name, weight, 'must be at least 0.')
        self.lora_rank = lora_rank
        self.clip_layers = clip_layers
        self.needs_frame_captions = frame_captions
        self.caption_layers = caption_layers
        self.image_weight = image_weight
        self.distillation_weight = distillation_weight

    def attach(self, *, vision: VisionTower, text: TextTower) -> None:
        """Builds the updates and adapters and hooks them into both towers.

        Raises:
            ConfigError: A tower does not show its layers' parts, or the vision tower has fewer than ``clip_layers``.
        """
        layers = require_parts(self, vision)
        check_depth(self, 'clip_layers', self.clip_layers, 'vision', vision)
        if not text.pre_norm_layers:
            raise ConfigError(f'DiscoVLA changes queries, keys and values, and the text tower {text.source!r} shows '
                              'none: take a CLIP, or LoRA, which finds linear layers by name.')
        self.watch_clips(vision)
        self.vision = joint_lora(self, vision, 'vision', rank=self.lora_rank)
        self.text = joint_lora(self, text, 'text', rank=self.lora_rank)
        self.adapters = nn.ModuleList()
        for index in range(len(layers) - self.clip_layers, len(layers)):
            adapter = ClassAdapter(dim=vision.width, rank=self.lora_rank)
            self.adapters.append(adapter)
            self.rewrite_around(layers[index].attn, partial(self._attend, layers[index], adapter),
                                f'vision layer {index} attn')
        self.captions = FrameCaptions(
            self, text, layers=self.caption_layers, rank=self.lora_rank) if self.needs_frame_captions else None

    def losses(self, text: Features, visual: Features, positives: Tensor, logits: Tensor,
               scale: Tensor) -> dict[str, Tensor]:
        """``image`` and ``distillation``, weighted, where frames have captions; see :class:`Neck`."""
        if not self.needs_frame_captions:
            return {}
        assert visual.tokens is not None  # of frames, which no method beside this one changes
        image, distillation = caption_losses(text.extra['frame_captions'], visual.tokens, visual.mask, logits,
                                             positives, scale)
        return dict(image=self.image_weight * image, distillation=self.distillation_weight * distillation)

    def decays(self, name: str, parameter: nn.Parameter) -> bool:
        """All, as in the public code: biases too."""
        return True

    def _attend(self, layer: PreNormLayer, adapter: ClassAdapter, call, hidden_states: Tensor,
                **kwargs) -> tuple[Tensor, None]:
        """Attention of ``(B * T, L, dim)``: within frames, and of the class tokens over the clip; no padding frames."""
        query, key, value = heads_of(layer, hidden_states)
        frames = attend(layer, query, key, value)
        query, key, value = (in_clips(heads, self.num_frames) for heads in (query[:, :, :1], key, value))
        classes = attend(layer, query, key, value, clip_mask(self.frame_mask, hidden_states.shape[1]))
        left = layer.out(torch.cat([classes.flatten(0, 1)[:, None], frames], dim=1))
        return torch.cat([left[:, :1] + adapter(left[:, 1:2]), left[:, 2:]], dim=1), None
