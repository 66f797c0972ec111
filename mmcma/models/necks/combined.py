"""Several methods on one pair of towers."""
from collections.abc import Sequence
from itertools import permutations

from torch import Tensor, nn

from mmcma.models.backbones.tower import TextTower, VisionTower
from mmcma.models.necks.base import Neck
from mmcma.registry import MODELS
from mmcma.structures import Features
from mmcma.utils.errors import ConfigError, argument_error


@MODELS.register_module()
class CombinedNeck(Neck):
    """Methods side by side, such as prompts in the input and LoRA in the layers.

    Args:
        necks: Configs of the methods; each place of a tower belongs to one of them.

    Raises:
        ConfigError: ``necks`` is empty or, in :meth:`attach`, two of them claim one place, or one merges the tokens
            that another counts on.
    """

    def __init__(self, *, necks: list[dict]) -> None:
        super().__init__()
        if not necks:
            raise argument_error(self, 'necks', necks, 'combines nothing: name methods, or leave the neck out.')
        self.necks: Sequence[Neck] = nn.ModuleList(  # type: ignore[assignment]  # a ModuleList has no type of its items
            MODELS.build(neck) for neck in necks)
        self.num_text_prompts = sum(neck.num_text_prompts for neck in self.necks)
        self.needs_several_frames = any(neck.needs_several_frames for neck in self.necks)
        self.clip_tokens = _only_one([neck for neck in self.necks if neck.clip_tokens is not None])
        self.needs_text_tokens = any(neck.needs_text_tokens for neck in self.necks)
        self.needs_frame_captions = any(neck.needs_frame_captions for neck in self.necks)

    def attach(self, *, vision: VisionTower, text: TextTower) -> None:
        """Attaches the methods one after the other."""
        for neck in self.necks:
            neck.attach(vision=vision, text=text)
        self.merges_tokens = any(neck.merges_tokens for neck in self.necks)
        self.needs_places = any(neck.needs_places for neck in self.necks)
        for one, other in permutations(self.necks, 2):
            if one.merges_tokens and other.needs_places:
                raise ConfigError(f'{type(one).__name__} merges tokens and frames, and {type(other).__name__} '
                                  'counts on a frame for each row and on the places of its tokens: take one of them.')
            if one.num_text_prompts and other.needs_frame_captions:
                raise ConfigError(f'{type(one).__name__} puts tokens into captions, and {type(other).__name__} '
                                  'counts on the places of theirs: take one of them.')

    def enable(self, on: bool) -> None:
        """Switches all methods on or off; their weights stay."""
        super().enable(on)
        for neck in self.necks:
            neck.enable(on)

    def describe(self, num_frames: int) -> None:
        """Tells all methods how many frames are described."""
        for neck in self.necks:
            neck.describe(num_frames)

    def losses(self, text: Features, visual: Features, positives: Tensor, logits: Tensor,
               scale: Tensor) -> dict[str, Tensor]:
        """The losses of all methods."""
        return _joined([neck.losses(text, visual, positives, logits, scale) for neck in self.necks])

    def extra_features(self) -> dict[str, Tensor]:
        """The extra features of all methods."""
        return _joined([neck.extra_features() for neck in self.necks])


def _only_one(leaving_clip_tokens: list[Neck]) -> int | None:
    if len(leaving_clip_tokens) > 1:
        names = [type(neck).__name__ for neck in leaving_clip_tokens]
        raise ConfigError(f'{" and ".join(names)} each leave tokens of their own in place of the frames; keep one.')
    return leaving_clip_tokens[0].clip_tokens if leaving_clip_tokens else None


def _joined(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    joined: dict[str, Tensor] = {}
    for part in parts:
        if both := joined.keys() & part.keys():
            raise ConfigError(f'two methods of a CombinedNeck have losses or features of the names {sorted(both)}: '
                              'they cannot be combined.')
        joined |= part
    return joined
