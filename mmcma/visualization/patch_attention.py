"""Where in a frame the class token looks."""
from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from mmcma.utils.errors import ConfigError
from mmcma.visualization.plots import INK, png


@torch.no_grad()
def patch_attention(model, frames: Tensor, mask: Tensor | None = None, layer: int = -1) -> Tensor:
    """Attention of the class token over the patches of every frame, the mean of all heads.

    Fast attention gives no weights, so they are computed anew, for the class
    token alone, from the queries and keys that the layer made:
    ``softmax(q k' / sqrt(d))``. The model itself runs as always, adapters,
    low-rank updates and prompts included.

    Args:
        model: A :class:`~mmcma.models.CrossModalRetriever` on a ViT of ``transformers`` with a class token.
        frames: uint8 ``(B, T, 3, H, W)``.
        mask: bool ``(B, T)``, False on padding frames.
        layer: Number of the vision tower's layer, from 0 at the input; negative from the last.

    Returns:
        float32 ``(B, T, h, w)`` on a grid of patches; the sum over a frame is 1
        less what the class token gives to itself and to learned tokens.

    Raises:
        ConfigError: The tower has no such layer, no class token, or another attention; or its patches were merged.
    """
    module = _attention(model.vision_backbone, layer)
    taken: dict[str, Tensor] = {}
    hooks = [getattr(module, name).register_forward_hook(
        lambda _, args, output, name=name: taken.__setitem__(name, output)) for name in ('q_proj', 'k_proj')]
    try:
        model.encode_visual(frames, mask)
    finally:
        for hook in hooks:
            hook.remove()
    # The class token comes first, then learned tokens if there are any, then the patches.
    query, keys = (taken[name].float().unflatten(-1, (module.num_heads, -1)) for name in ('q_proj', 'k_proj'))
    side = frames.shape[-1] // model.vision_backbone.encoder.config.patch_size
    if len(keys) != frames.shape[:2].numel() or keys.shape[1] < 1 + side * side:
        raise ConfigError(f'layer={layer}: {type(model.neck).__name__} has merged patches there, so that they have no '
                          'place in a frame; choose an earlier layer, such as 0.')
    scores = torch.einsum('nhd,nlhd->nhl', query[:, 0], keys) * query.shape[-1] ** -0.5  # (B * T, heads, L)
    weights = scores.softmax(dim=-1).mean(dim=1)[:, -side * side:]  # (B * T, h * w)
    return weights.cpu().unflatten(-1, (side, side)).unflatten(0, frames.shape[:2])


def _attention(tower, layer: int) -> torch.nn.Module:
    depth = len(tower.blocks)
    if not -depth <= layer < depth:
        raise ConfigError(f'layer={layer}: the vision tower has {depth} layers; choose {-depth} to {depth - 1}.')
    module = getattr(tower.blocks[layer], 'self_attn', None)
    parts = ('q_proj', 'k_proj', 'num_heads')
    if module is None or tower.prompt_start != 1 or not all(hasattr(module, name) for name in parts):
        raise ConfigError(f'{tower.source or type(tower).__name__!r} has no class token whose attention could be '
                          'shown: take a CLIP of transformers.')
    return module


def draw_patch_attention(frames: Tensor, attention: Tensor, titles: Sequence[str] = ()) -> bytes:
    """Frames, and below each where the class token looks in it, as a PNG; one scale for all frames.

    Args:
        frames: uint8 ``(T, 3, H, W)``.
        attention: ``(T, h, w)``, as :func:`patch_attention` gives it for a clip.
        titles: One above each frame.
    """
    figure = Figure(figsize=(1.25 * len(frames), 2.5 + 0.25 * bool(titles)), layout='constrained')
    axes = figure.subplots(2, len(frames), squeeze=False)
    extent = (0, frames.shape[-1], frames.shape[-2], 0)
    for number, frame in enumerate(frames):
        for row in axes[:, number]:
            row.imshow(frame.permute(1, 2, 0).numpy(), extent=extent)
            row.set_axis_off()
        axes[1, number].imshow(attention[number].numpy(), cmap='inferno', alpha=0.65, extent=extent,
                               interpolation='bilinear', vmin=0, vmax=attention.max().item())
    for row, title in zip(axes[0], titles):
        row.set_title(title, fontsize=8, color=INK, parse_math=False)
    return png(figure)
