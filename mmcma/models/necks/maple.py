"""Multi-modal prompt learning (MaPLe: Khattak et al., CVPR 2023; arXiv 2210.03117)."""
from copy import deepcopy

from torch import Tensor, nn

from mmcma.models.backbones.tower import TextTower, VisionTower
from mmcma.models.necks.base import Neck
from mmcma.models.necks.prompts import Prompts, check_count, prompt_text, prompt_vision, prompted_layers
from mmcma.registry import MODELS


@MODELS.register_module()
class MaPLe(Neck):
    """Deep text prompts, from which a linear map of each layer makes the vision prompts.

    ``V_j = F_j(T_j)`` for the layers j of both towers, counted from the input
    (section 3.2.3). The maps of all layers but the first start equal, as in the
    released code. All text prompts start at random; the paper starts those of
    the first layer from "a photo of a", a template for names of classes, which
    captions are not.

    Args:
        num_prompts: Tokens of a layer in each tower; 2 in the paper.
        depth: Layers J with tokens of their own; 9 of 12 in the paper.

    Raises:
        ConfigError: ``num_prompts`` is below 1 or, in :meth:`attach`, a tower has fewer layers than ``depth`` or
            no room for words.
    """

    def __init__(self, *, num_prompts: int = 2, depth: int = 9) -> None:
        super().__init__()
        check_count(self, 'num_prompts', num_prompts)
        self.num_text_prompts = num_prompts
        self.depth = depth

    def attach(self, *, vision: VisionTower, text: TextTower) -> None:
        """Builds the text prompts and the maps to the vision prompts, and hooks both into the towers."""
        sizes = dict(depth=self.depth, count=self.num_text_prompts)
        for modality, tower in (('vision', vision), ('text', text)):
            prompted_layers(self, tower, modality, self.depth)
        self.text = Prompts(width=text.width, **sizes)
        first, deeper = (nn.Linear(text.width, vision.width) for _ in range(2))
        self.coupling = nn.ModuleList([first, *(deepcopy(deeper) for _ in range(self.depth - 1))])
        prompt_text(self, text, self.text, **sizes)
        prompt_vision(self, vision, self.vision_prompts, **sizes)

    def vision_prompts(self, layer: int, hidden: Tensor) -> Tensor:
        """The layer's vision tokens ``(P, vision width)``."""
        return self.coupling[layer](self.text(layer))
