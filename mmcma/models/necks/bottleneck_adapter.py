"""Uni-modal bottleneck adapters (Houlsby et al., ICML 2019)."""
from collections.abc import Sequence

from mmcma.models.necks.cross_modal_adapter import CrossModalAdapter
from mmcma.registry import MODELS


@MODELS.register_module()
class BottleneckAdapter(CrossModalAdapter):
    """``A(h) = h + s(h Wd + bd) Wu + bu`` after the branches of every layer, nothing shared by the towers.

    The Cross-Modal Adapter with ``shared_dim=0``, and with its small weights at
    the start, which are those of Houlsby et al. (section 2.1). Their two
    adapters a layer are the default; ``kinds=['attn']`` keeps the one after
    attention, the baseline "Adapter-ATTN" of Jiang et al. (2025).

    Args:
        bottleneck_dim: Width r of the bottleneck, at least 1.
        kinds: After which branches: ``'attn'``, ``'ffn'`` or both.
        layers: In which layers, counted in each tower, -1 being the last; None for all.
        activation: Name of the function s in ``transformers``.
        dropout: Probability on the bottleneck.
        init_std: Standard deviation of the truncated normal that weights start from; biases start at zero.
    """

    def __init__(self, *, bottleneck_dim: int = 8, kinds: Sequence[str] = ('attn', 'ffn'),
                 layers: Sequence[int] | None = None, activation: str = 'quick_gelu', dropout: float = 0.0,
                 init_std: float = 0.01) -> None:
        super().__init__(bottleneck_dim=bottleneck_dim, shared_dim=0, kinds=kinds, layers=layers,
                         activation=activation, dropout=dropout, init_std=init_std)
