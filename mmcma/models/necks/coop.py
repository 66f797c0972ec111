"""Context optimization (CoOp: Zhou et al., IJCV 130, 2022; arXiv 2109.01134)."""
from mmcma.models.backbones.tower import TextTower, VisionTower
from mmcma.models.necks.base import Neck
from mmcma.models.necks.prompts import Prompts, check_count, prompt_text
from mmcma.registry import MODELS


@MODELS.register_module()
class CoOp(Neck):
    """Learned context vectors before every caption's words, the same for all (the paper's unified context).

    Args:
        num_prompts: Context vectors M. The paper puts 16, or 4, before the name
            of a class; 4 is our choice before whole captions.

    Raises:
        ConfigError: ``num_prompts`` is below 1 or, in :meth:`attach`, leaves no room for words.
    """

    def __init__(self, *, num_prompts: int = 4) -> None:
        super().__init__()
        check_count(self, 'num_prompts', num_prompts)
        self.num_text_prompts = num_prompts

    def attach(self, *, vision: VisionTower, text: TextTower) -> None:
        """Builds the context vectors and hooks them into the captions."""
        self.text = Prompts(depth=1, count=self.num_text_prompts, width=text.width)
        prompt_text(self, text, self.text, depth=1, count=self.num_text_prompts)
