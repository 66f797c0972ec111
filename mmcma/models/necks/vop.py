"""VoP: text-video co-operative prompt tuning (Huang et al., CVPR 2023; arXiv 2211.12764)."""
from mmcma.models.backbones.tower import TextTower, VisionTower
from mmcma.models.necks.argument_checks import check_counts
from mmcma.models.necks.base import Neck
from mmcma.models.necks.caption_ends import CaptionEnds, check_ends, prompt_ends
from mmcma.models.necks.prompts import Prompts, prompt_text, prompt_vision, prompted_layers
from mmcma.registry import MODELS
from mmcma.utils.errors import argument_error


@MODELS.register_module()
class VoP(Neck):
    """Learned tokens in every layer of both towers, as in the public code of the basic variant.

    That code (ModelScope's ``vop_retrieval``) puts ``num_suffix`` of a caption's
    tokens before the last place of the whole context, and reads the feature that many
    places behind the end token. A caption that ends before both meet, as short ones
    do, is not changed by the suffix, which then learns nothing.

    Args:
        num_prompts: Tokens of a vision layer, after the class token.
        num_prefix: Tokens of a text layer after the start token.
        num_suffix: Tokens of a text layer before the context's last place. With 0 the feature is read at the end token,
            or wherever else the tower pools; anything else needs one that pools the end token, as CLIP's does.

    Raises:
        ConfigError: An argument is out of range or, in :meth:`attach`, does not fit the towers.
    """

    def __init__(self, *, num_prompts: int = 8, num_prefix: int = 4, num_suffix: int = 4) -> None:
        super().__init__()
        check_counts(self, num_prompts=num_prompts, num_prefix=num_prefix)
        if num_suffix < 0:
            raise argument_error(self, 'num_suffix', num_suffix, 'must be 0 or more.')
        self.num_prompts = num_prompts
        self.num_prefix = num_prefix
        self.num_suffix = num_suffix
        self.num_text_prompts = num_prefix + num_suffix
        self.text: Prompts | CaptionEnds

    def attach(self, *, vision: VisionTower, text: TextTower) -> None:
        """Builds the tokens of each tower and hooks them into it."""
        depth = prompted_layers(self, vision, 'vision', None)
        self.prompt_clips(vision, depth)
        self.prompt_captions(text, prompted_layers(self, text, 'text', None))

    def prompt_clips(self, tower: VisionTower, depth: int) -> None:
        """Hooks the vision tower's tokens into its ``depth`` layers."""
        self.vision = Prompts(depth=depth, count=self.num_prompts, width=tower.width)
        prompt_vision(self, tower, self.vision, depth=depth, count=self.num_prompts)

    def prompt_captions(self, tower: TextTower, depth: int) -> None:
        """Hooks the text tower's tokens into its ``depth`` layers.

        Raises:
            ConfigError: The tower has no room for them or reads no feature behind the end token.
        """
        if self.num_suffix:
            check_ends(self, tower, self.num_suffix, self.num_text_prompts)
            self.text = CaptionEnds(tower, depth=depth, num_prefix=self.num_prefix, num_suffix=self.num_suffix)
            prompt_ends(self, tower, self.text)
        else:
            self.text = Prompts(depth=depth, count=self.num_prefix, width=tower.width)
            prompt_text(self, tower, self.text, depth=depth, count=self.num_prefix)
