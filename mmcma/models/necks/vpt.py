"""Visual prompt tuning (VPT: Jia et al., ECCV 2022; arXiv 2203.12119)."""

from mmcma.models.backbones.tower import TextTower, VisionTower
from mmcma.models.necks.base import Neck
from mmcma.models.necks.prompts import Prompts, check_count, prompt_vision, prompted_layers
from mmcma.registry import MODELS


@MODELS.register_module()
class VPT(Neck):
    """Learned tokens among the patches of every image.

    ``depth=1`` is VPT-shallow: the tokens enter the first layer and go through
    all others. Otherwise VPT-deep: each of the first ``depth`` layers gets fresh
    ones, and what the layer before made of its own is dropped (section 3.2).

    Args:
        num_prompts: Tokens P of a layer. The paper tries 1 to 200 for each data
            set; 8 is our choice.
        depth: Layers with tokens of their own; None for every layer.

    Raises:
        ConfigError: ``num_prompts`` is below 1 or, in :meth:`attach`, the tower has fewer layers than ``depth``.
    """

    def __init__(self, *, num_prompts: int = 8, depth: int | None = None) -> None:
        super().__init__()
        check_count(self, 'num_prompts', num_prompts)
        self.num_prompts = num_prompts
        self.depth = depth

    def attach(self, *, vision: VisionTower, text: TextTower) -> None:
        """Builds the prompts and hooks them into the vision tower."""
        depth = prompted_layers(self, vision, 'vision', self.depth)
        self.vision = Prompts(depth=depth, count=self.num_prompts, width=vision.width)
        prompt_vision(self, vision, self.vision, depth=depth, count=self.num_prompts)
