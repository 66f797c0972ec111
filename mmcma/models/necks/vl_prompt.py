"""Prompts in both towers, learned apart (the independent prompting of Khattak et al., CVPR 2023)."""

from mmcma.models.backbones.tower import TextTower, VisionTower
from mmcma.models.necks.base import Neck
from mmcma.models.necks.prompts import Prompts, check_count, prompt_text, prompt_vision, prompted_layers
from mmcma.registry import MODELS


@MODELS.register_module()
class VLPrompt(Neck):
    """Deep prompts in the vision and in the text tower that do not know of each other.

    It is what :class:`MaPLe` is without its coupling, and the baseline that
    MaPLe's paper (arXiv 2210.03117, section 3.2.3) calls independent V-L prompting.

    Args:
        num_prompts: Tokens of a layer in each tower; 2 in MaPLe's released code.
        depth: Layers with tokens of their own in each tower; None for every
            layer, as in that code.

    Raises:
        ConfigError: ``num_prompts`` is below 1 or, in :meth:`attach`, a tower has fewer layers than ``depth`` or
            no room for words.
    """

    def __init__(self, *, num_prompts: int = 2, depth: int | None = None) -> None:
        super().__init__()
        check_count(self, 'num_prompts', num_prompts)
        self.num_text_prompts = num_prompts
        self.depth = depth

    def attach(self, *, vision: VisionTower, text: TextTower) -> None:
        """Builds the prompts of each tower and hooks them into it."""
        count = self.num_text_prompts
        for modality, tower, hook in (('vision', vision, prompt_vision), ('text', text, prompt_text)):
            depth = prompted_layers(self, tower, modality, self.depth)
            prompts = Prompts(depth=depth, count=count, width=tower.width)
            self.add_module(modality, prompts)
            hook(self, tower, prompts, depth=depth, count=count)
