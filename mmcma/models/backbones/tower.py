"""Interface of the towers, whatever library they come from, to necks, heads and the retriever."""
import re
from collections.abc import Mapping

from mmengine.model import BaseModule
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from mmcma.models.backbones.sites import PreNormLayer, Site
from mmcma.structures import Features
from mmcma.utils.digests import state_digest
from mmcma.utils.errors import ConfigError

_PARTS = ("True (all), False (none), 'projection', 'bias', 'norm' or 'last_K_layers', such as 'last_2_layers' or "
          "'last_2_layers_alone'")


class Tower(BaseModule):
    """A pretrained transformer with a projection into the joint space.

    A subclass sets ``projection`` and the properties below, and says in its
    ``forward`` what goes in and comes out.

    Args:
        source: Name of the pretrained model, for reports and checkpoints; None from scratch.
        width: Channels of the hidden states.
        embed_dim: Channels of the joint space.
        prompt_start: Place in the sequence where learned tokens may be put in:
            after the class or start token, where there is one. None where the
            layers take no tokens but their own.
        trainable: What of the tower's own weights trains: True (full fine-tuning
            and pretraining), False, ``'projection'``, ``'bias'`` (BitFit: Ben Zaken
            et al., ACL 2022), ``'norm'``, ``'last_K_layers'``, which is the last
            K layers and all that follows them, or ``'last_K_layers_alone'``.

    Attributes:
        projection (nn.Module): Maps the pooled hidden state ``(N, width)`` to the joint space ``(N, embed_dim)``.
    """
    projection: nn.Module

    def __init__(self, *, source: str | None, width: int, embed_dim: int, prompt_start: int | None,
                 trainable: bool | str) -> None:
        super().__init__()
        self.source = source
        self.width = width
        self.embed_dim = embed_dim
        self.prompt_start = prompt_start
        self.trainable = trainable

    @property
    def blocks(self) -> list[nn.Module]:
        """The transformer layers, input first; each takes and gives hidden states ``(N, L, width)`` first."""
        raise NotImplementedError

    @property
    def sites(self) -> list[Site]:
        """Attention and feed-forward branch of every layer, input first."""
        raise NotImplementedError

    @property
    def pre_norm_layers(self) -> list[PreNormLayer]:
        """The parts of every layer, input first; empty where layers do not normalise first, or do not show them."""
        return []

    @property
    def stem(self) -> list[nn.Module]:
        """The modules that run before the first layer."""
        raise NotImplementedError

    @property
    def pre_norm(self) -> nn.Module | None:
        """What normalises the embedded sequence ``(N, L, width)`` before the first layer; None where nothing does."""
        return None

    @property
    def stem_parameters(self) -> list[nn.Parameter]:
        """The weights that act before the first layer."""
        return [parameter for module in self.stem for parameter in module.parameters()]

    def pretrained_state(self) -> dict[str, Tensor]:
        """The tensors that come from ``source``, by name; they tell one backbone from another."""
        return self.state_dict()

    def init_weights(self) -> None:
        """Does nothing: weights are read or drawn in the constructor, and mmengine's Runner must not draw them anew."""

    def trainable_parameters(self) -> list[nn.Parameter]:
        """The tower's own weights that train.

        Raises:
            ConfigError: ``trainable`` is none of its values, or there is nothing of the kind.
        """
        if self.trainable is False:
            return []
        chosen = self._part(self.trainable)
        if not chosen:
            raise ConfigError(f'trainable={self.trainable!r}: {self.source or type(self).__name__!r} has nothing of '
                              f'the kind; choose {_PARTS}.')
        return chosen

    def _part(self, part: bool | str) -> list[nn.Parameter]:
        if part is True:
            return list(self.parameters())
        if part == 'projection':
            return list(self.projection.parameters())
        if part == 'bias':
            return [p for name, p in self.named_parameters() if name.endswith('bias')]
        if part == 'norm':
            norms = (module for module in self.modules() if 'norm' in type(module).__name__.lower())
            return [p for module in norms for p in module.parameters(recurse=False)]
        match = re.fullmatch(r'last_(\d+)_layers(_alone)?', str(part))
        if match is None:
            raise ConfigError(f'trainable={part!r} is none of {_PARTS}.')
        count = int(match[1])
        if not 1 <= count <= len(self.blocks):
            raise ConfigError(f'trainable={part!r}: {self.source or type(self).__name__!r} has '
                              f'{len(self.blocks)} layers; choose 1 to {len(self.blocks)}.')
        if match[2]:
            return [p for block in self.blocks[-count:] for p in block.parameters()]
        return self._last_layers(count)

    def _last_layers(self, count: int) -> list[nn.Parameter]:
        layers = (p for block in self.blocks[:-count] for p in block.parameters())
        earlier = {id(p) for p in [*self.stem_parameters, *layers]}
        return [p for p in self.parameters() if id(p) not in earlier]


class VisionTower(Tower):
    """A tower of images that takes whole clips, so that necks learn from the call how frames belong together.

    Attributes:
        image_size (int): Side of the square input in pixels.
        image_mean, image_std (list[float]): Normalisation per RGB channel of
            pixels in [0, 1].
        patches_per_side (int): Square patches of a row and of a column; 0 where the tower does not tell.
    """
    image_size: int
    patches_per_side: int = 0
    image_mean: list[float]
    image_std: list[float]

    def encode_images(self, pixels: Tensor) -> Tensor:
        """Embeddings ``(N, D)`` of normalised float pixels ``(N, 3, H, W)``."""
        raise NotImplementedError

    def forward(self, pixels: Tensor, mask: Tensor | None = None) -> Tensor:
        """Embeddings ``(B, T, D)`` of clips ``(B, T, 3, H, W)``, or ``(N, D)`` of images ``(N, 3, H, W)``.

        A neck may leave K rows of a clip in the last layer in place of T; then they are ``(B, K, D)``.

        Args:
            pixels: Normalised.
            mask: bool ``(B, T)``, False on padding frames, which necks that relate frames leave out; None where
                there are none.
        """
        if pixels.ndim == 4:
            return self.encode_images(pixels)
        return self.encode_images(pixels.flatten(0, 1)).unflatten(0, (len(pixels), -1))


class TextTower(Tower):
    """A tower of captions.

    Attributes:
        tokenizer (PreTrainedTokenizerBase): The ``transformers`` tokenizer.
        context_length (int): Most tokens of a caption, start and end included.
        pads_to_limit (bool): Whether every caption must be padded to that length.
        logit_scale (float): Log of the similarity's scale that the model was trained with.
        logit_bias (float | None): What a model trained with the sigmoid loss adds to the scaled similarity.
    """
    tokenizer: PreTrainedTokenizerBase
    context_length: int
    pads_to_limit: bool
    logit_scale: float
    logit_bias: float | None

    @property
    def token_embedding(self) -> nn.Module | None:
        """Maps token ids ``(N, L)`` to the vectors ``(N, L, width)`` that the positions are added to; None without."""
        return None

    @property
    def positions(self) -> nn.Parameter | None:
        """Learned positions ``(context, width)`` that are added to the vectors of tokens; None without."""
        return None

    @property
    def pools_end_token(self) -> bool:
        """Whether the first end token is pooled and tokens see those before them alone, as in CLIP."""
        return False

    def forward(self, token_ids: Tensor, mask: Tensor, with_tokens: bool = False) -> Features:
        """Embeddings of captions.

        Args:
            token_ids: int64 ``(N, L)``, padded after the end token.
            mask: bool ``(N, L)``, False on padding.
            with_tokens: Whether to project every token, and not only the pooled one.

        Returns:
            ``pooled`` ``(N, D)``, and with tokens ``tokens`` ``(N, L, D)`` and ``mask``.
        """
        raise NotImplementedError


def fingerprint(towers: Mapping[str, Tower]) -> str:
    """Digest of the towers' pretrained tensors, which tells one backbone from another.

    Args:
        towers: Name -> tower; names and state-dict keys count.

    Returns:
        32 hex characters of BLAKE2b over names, shapes and float32 values.
    """
    return state_digest({f'{part}.{name}': tensor for part, tower in towers.items()
                         for name, tensor in tower.pretrained_state().items()})
