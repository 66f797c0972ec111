"""A vision tower on a transformer image backbone of ``mmpretrain``, which is imported when one is built."""
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.registry import DefaultScope
from torch import Tensor, nn

from mmcma.models.backbones.sites import Site
from mmcma.models.backbones.tower import VisionTower
from mmcma.registry import MODELS
from mmcma.utils.errors import ConfigError, WeightsError, argument_error, did_you_mean, short
from mmcma.utils.plain_loading import load_plain, load_plain_from_web

#: Mean and standard deviation that mmpretrain normalises with unless a config says otherwise, per RGB channel,
#: of pixels in [0, 1].
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

#: A backbone of mmpretrain, which has no types.
Backbone = Any
#: The classes of backbones that the tower can stand on.
BACKBONES = ['VisionTransformer', 'ViTEVA02', 'BEiTViT']
# Parts of a whole model's checkpoint that the backbone is used without: classifiers, and decoders of pretraining.
_OTHER_PARTS = ('head.', 'neck.')


@MODELS.register_module()
class MMPretrainTower(VisionTower):
    """An image backbone of ``mmpretrain`` with a projection into the text tower's space.

    The backbones are ``VisionTransformer`` (ViT, DINOv2, MAE, CLIP),
    ``ViTEVA02`` and ``BEiTViT``. The projection starts at random and always
    trains. What ``BEiTViT`` scales a branch with acts after the adapters of its
    sites; in the others every site is the whole branch.

    Args:
        backbone: Config of the backbone, such as
            ``dict(type='mmpretrain.VisionTransformer', arch='b', patch_size=16)``.
        embed_dim: Channels of the joint space: the text tower's.
        checkpoint: A file, or the name of a model of ``mmpretrain``, whose
            backbone has the weights. None for random ones, which have to train.
        trainable: Which of the backbone's weights train beside the projection, see :class:`Tower`.
        image_mean, image_std: Normalisation per RGB channel of pixels in [0, 1],
            as the backbone was trained with: ``mmpretrain``'s divided by 255.

    Attributes:
        image_size (int): Side of the square input in pixels.

    Raises:
        ConfigError: ``mmpretrain`` is not there, or the backbone is none of the above.
        WeightsError: The weights cannot be had or do not fit.
    """

    def __init__(self, *, backbone: dict, embed_dim: int, checkpoint: str | None = None,
                 trainable: bool | str = False, image_mean: Sequence[float] = IMAGENET_MEAN,
                 image_std: Sequence[float] = IMAGENET_STD) -> None:
        if checkpoint is None and trainable is not True:
            raise argument_error(self, 'checkpoint', None, f'and trainable={trainable!r}: random weights that never '
                                 'train. Name a checkpoint, or set trainable=True.')
        module = _build(backbone)
        super().__init__(source=checkpoint, width=module.embed_dims, embed_dim=embed_dim, trainable=trainable,
                         prompt_start=_prompt_start(module))
        self.backbone: Backbone = module
        self.projection = nn.Linear(module.embed_dims, embed_dim, bias=False)
        nn.init.normal_(self.projection.weight, std=module.embed_dims ** -0.5)
        self.image_size = module.img_size[0]
        self.image_mean, self.image_std = list(image_mean), list(image_std)
        if checkpoint is None:
            module._dump_init_info = lambda: None  # mmengine would write a line a parameter into the log file
            module.init_weights()
            del module._dump_init_info
        else:
            _load(module, checkpoint)

    @property
    def blocks(self) -> list[nn.Module]:
        """The transformer layers, input first."""
        return list(self.backbone.layers)

    @property
    def stem(self) -> list[nn.Module]:
        """The modules that run before the first layer, of those that the backbone has."""
        names = ('patch_embed', 'drop_after_pos', 'pre_norm', 'rel_pos_bias')
        return [module for name in names if (module := getattr(self.backbone, name, None)) is not None]

    @property
    def pre_norm(self) -> nn.Module | None:
        """The LayerNorm between embeddings and layers, of backbones that have one (``pre_norm=True``)."""
        module = getattr(self.backbone, 'pre_norm', None)
        return None if isinstance(module, nn.Identity) else module

    @property
    def stem_parameters(self) -> list[nn.Parameter]:
        """The weights that act before the first layer, among them class token and positions, which no module holds."""
        return [*super().stem_parameters, *self.backbone.parameters(recurse=False)]

    @property
    def sites(self) -> list[Site]:
        """Attention and feed-forward branch of every layer, input first."""
        return [site for layer, block in enumerate(self.backbone.layers)
                for site in (Site(layer, 'attn', block.attn, self.width), self._ffn_site(layer, block))]

    def _ffn_site(self, layer: int, block: Backbone) -> Site:
        ffn = block.ffn if hasattr(block, 'ffn') else block.mlp
        if not ffn.add_identity:
            return Site(layer, 'ffn', ffn, self.width)
        # The network adds the residual itself; `gamma2`, an identity or a scale, is the last before the sum.
        return Site(layer, 'ffn', ffn.gamma2, self.width, ffn.layers if hasattr(ffn, 'layers') else ffn.w12)

    def pretrained_state(self) -> dict[str, Tensor]:
        """The backbone's tensors by name; the projection, random at the start, is not among them."""
        return {name: tensor for name, tensor in self.state_dict().items() if not name.startswith('projection.')}

    def trainable_parameters(self) -> list[nn.Parameter]:
        """The projection's weights, and those of the backbone that ``trainable`` names."""
        return [*super().trainable_parameters(), *self.projection.parameters()]

    def encode_images(self, pixels: Tensor) -> Tensor:
        """Embeddings ``(N, D)`` of normalised float pixels ``(N, 3, H, W)``."""
        return self.projection(self.backbone(pixels)[-1])


def _build(config: dict) -> Backbone:
    try:
        import mmpretrain.models  # noqa: F401
        from mmpretrain.registry import MODELS as MMPRETRAIN
    except (ImportError, RuntimeError) as error:  # A torchvision that does not fit torch raises RuntimeError.
        raise ConfigError(f'MMPretrainTower needs mmpretrain and a torchvision that fits torch ({error}): `pip install '
                          '"mmcma[mmpretrain]"`, or use HFVisionTower.') from error
    where = f'MMPretrainTower.backbone={short(dict(config))}'
    try:
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            backbone = MMPRETRAIN.build(dict(config))
    except (KeyError, TypeError, ValueError, AssertionError) as error:
        raise ConfigError(f'{where} cannot be built: {" ".join(str(error).split())}') from error
    if type(backbone).__name__ not in BACKBONES:
        raise ConfigError(f'{where} does not publish its transformer layers; choose one of {BACKBONES}.')
    if backbone.out_type not in ('cls_token', 'avg_featmap'):
        raise ConfigError(f"{where}: out_type={backbone.out_type!r} gives no vector for an image; choose 'cls_token' "
                          "or 'avg_featmap'.")
    if backbone.img_size[0] != backbone.img_size[1]:
        raise ConfigError(f'{where}: img_size={backbone.img_size} is not square.')
    return backbone


def _prompt_start(backbone: Backbone) -> int | None:
    """Place for learned tokens; None for rotary and relative positions, which are tied to the grid of patches."""
    names = [name for name, _ in [*backbone.named_modules(), *backbone.named_buffers()]]
    bound = any(name.endswith(('rope', 'relative_position_index')) for name in names)
    return None if bound else backbone.num_extra_tokens


def _load(backbone: nn.Module, checkpoint: str) -> None:
    state = _read(checkpoint)
    state = state.get('state_dict', state)
    if any(name.startswith('backbone.') for name in state):  # a whole model
        state = {name.removeprefix('backbone.'): tensor for name, tensor in state.items()
                 if not name.startswith(_OTHER_PARTS)}
    # Buffers are worked out by the constructor, for the size of image at hand.
    buffers = {name for name, _ in backbone.named_buffers(remove_duplicate=False)}
    state = {name: tensor for name, tensor in state.items() if name not in buffers}
    try:
        missing, unexpected = backbone.load_state_dict(state, strict=False)
    except (ImportError, RuntimeError) as error:  # To resize BEiT's positions, mmpretrain imports scipy.
        raise WeightsError(f'checkpoint={checkpoint!r} does not fit the backbone: '
                           f'{" ".join(str(error).split())}') from error
    missing = sorted(set(missing) - buffers)
    if missing or unexpected:
        raise WeightsError(f'checkpoint={checkpoint!r} does not fit the backbone: missing '
                           f'{missing[:3]} ({len(missing)} in all), unexpected {unexpected[:3]} ({len(unexpected)} in '
                           'all). Use the backbone config that it was trained with.')


def _read(checkpoint: str) -> dict:
    path = Path(checkpoint).expanduser()
    if path.is_file():
        return load_plain(path)
    address = _address(checkpoint)
    try:
        return load_plain_from_web(address)
    except OSError as error:
        raise WeightsError(f'checkpoint={checkpoint!r}: no reading {address} ({error}). Fetch it where there '
                           'is a network and set MMPretrainTower.checkpoint to the file.') from error


def _address(name: str) -> str:
    """Where the weights of a model of ``mmpretrain`` lie."""
    from mmpretrain.apis.model import ModelHub, list_models
    try:
        address = ModelHub.get(name).weights
    except ValueError:
        raise WeightsError(f'checkpoint={name!r} is neither a file nor a model of mmpretrain.'
                           f'{did_you_mean(name, list_models())}') from None
    if address is None:
        raise WeightsError(f'checkpoint={name!r}: mmpretrain offers no weights of that model.')
    return address
