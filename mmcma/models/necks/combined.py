"""Several methods on one pair of towers."""
from collections.abc import Sequence

from torch import nn

from mmcma.models.backbones.tower import TextTower, VisionTower
from mmcma.models.necks.base import Neck
from mmcma.registry import MODELS
from mmcma.utils.errors import argument_error


@MODELS.register_module()
class CombinedNeck(Neck):
    """Methods side by side, such as prompts in the input and LoRA in the layers.

    Args:
        necks: Configs of the methods; each place of a tower belongs to one of them.

    Raises:
        ConfigError: ``necks`` is empty or, in :meth:`attach`, two of them claim one place.
    """

    def __init__(self, *, necks: list[dict]) -> None:
        super().__init__()
        if not necks:
            raise argument_error(self, 'necks', necks, 'combines nothing: name methods, or leave the neck out.')
        self.necks: Sequence[Neck] = nn.ModuleList(  # type: ignore[assignment]  # a ModuleList has no type of its items
            MODELS.build(neck) for neck in necks)
        self.num_text_prompts = sum(neck.num_text_prompts for neck in self.necks)
        self.needs_several_frames = any(neck.needs_several_frames for neck in self.necks)

    def attach(self, *, vision: VisionTower, text: TextTower) -> None:
        """Attaches the methods one after the other."""
        for neck in self.necks:
            neck.attach(vision=vision, text=text)

    def enable(self, on: bool) -> None:
        """Switches all methods on or off; their weights stay."""
        super().enable(on)
        for neck in self.necks:
            neck.enable(on)
