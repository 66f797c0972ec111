"""Captions of single frames in training: how DiscoVLA encodes and compares them (Shen et al., CVPR 2025)."""
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmcma.models.backbones.sites import PreNormLayer
from mmcma.models.backbones.tower import TextTower
from mmcma.models.losses import SymmetricInfoNCE
from mmcma.models.necks.argument_checks import check_depth
from mmcma.models.necks.base import Neck
from mmcma.models.necks.class_adapter import ClassAdapter
from mmcma.models.necks.clip_attention import attend, heads_of, in_clips
from mmcma.models.similarities.base import unit
from mmcma.utils.errors import argument_error


class FrameCaptions(nn.Module):
    """In the last layers of the text tower, end tokens of a clip's frame captions that see all of these captions.

    An end token attends to the tokens of all captions of the clip's frames, and gets through a narrow adapter what it
    would have got from its own caption. Other captions stay as they are.

    Args:
        neck: The method, which says how many frames are described behind each caption.
        tower: A text tower that pools the end token.
        layers: Number of those last layers.
        rank: Width of the adapters.

    Raises:
        ConfigError: The tower pools another token, or has fewer layers.
    """

    def __init__(self, neck: Neck, tower: TextTower, *, layers: int, rank: int) -> None:
        super().__init__()
        if not tower.pools_end_token:
            raise argument_error(neck, 'frame_captions', True, f'relates the end tokens of captions, and the text '
                                 f'tower {tower.source!r} does not pool them: set it to False.')
        check_depth(neck, 'caption_layers', layers, 'text', tower)
        parts = tower.pre_norm_layers
        self.num_frames = 0  # of each caption in the batch at hand, which is followed by theirs
        self.lengths = torch.empty(0)  # int (N,): tokens of each, 0 for those of padding frames
        tower.register_forward_pre_hook(partial(self._on_captions, neck), with_kwargs=True)
        self.adapters = nn.ModuleList(ClassAdapter(dim=tower.width, rank=rank) for _ in range(layers))
        for index, adapter in enumerate(self.adapters, start=len(parts) - layers):
            neck.rewrite_around(parts[index].attn, partial(self._attend, parts[index], adapter),
                                f'text layer {index} attn')

    def _on_captions(self, neck: Neck, module, args, kwargs) -> None:
        mask = args[1] if len(args) > 1 else kwargs['mask']
        self.num_frames, self.lengths = neck.described_frames, mask.sum(dim=1)

    def _attend(self, layer: PreNormLayer, adapter: nn.Module, call, hidden_states: Tensor, **kwargs) -> tuple:
        """Attention of ``(B * (1 + T), L, dim)``: each caption is followed by those of its clip's T frames."""
        left, *rest = call(hidden_states=hidden_states, **kwargs)
        frames = self.num_frames
        if not frames:
            return left, *rest
        rows = torch.arange(len(left), device=left.device).unflatten(0, (-1, 1 + frames))[:, 1:].flatten()  # (B * T,)
        lengths, each = self.lengths[rows], torch.arange(len(rows), device=left.device)
        ends = (lengths - 1).clamp_min(0)
        query, key, value = heads_of(layer, hidden_states[rows])  # (B * T, H, L, dim / H)
        seen = torch.arange(left.shape[1], device=left.device) < lengths[:, None]  # (B * T, L)
        classes = attend(layer, in_clips(query[each, :, ends][:, :, None], frames), in_clips(key, frames),
                         in_clips(value, frames), seen.view(-1, 1, 1, frames * left.shape[1]))  # (B, T, dim)
        classes = layer.out(classes).flatten(0, 1) + adapter(left[rows, ends])
        return left.index_put((rows, ends), classes.to(left.dtype)), *rest


def caption_losses(captions: Tensor, frames: Tensor, mask: Tensor | None, logits: Tensor, positives: Tensor,
                   scale: Tensor) -> tuple[Tensor, Tensor]:
    """The contrast of frames with their captions, and the divergence of the clips' scores from what it compares.

    The latter is ``100 / N^2`` times the Kullback-Leibler divergences of the rows, mean of both directions, with its
    gradient on both sides, as in the public code.

    Args:
        captions: ``(N, T, D)`` of the frames of N clips.
        frames: ``(N, T, D)``, the frames.
        mask: bool ``(N, T)``, False on padding frames; None where there are none.
        logits: ``(N, N)`` of texts and clips, scaled.
        positives: bool ``(N, N)``, which text describes which clip.
        scale: Factor of cosines.
    """
    taught = scale * caption_scores(captions, frames, mask, scale)
    both = [F.kl_div(x.log_softmax(dim=1), y.log_softmax(dim=1), reduction='sum', log_target=True)
            for x, y in ((logits, taught), (logits.T, taught.T))]
    return SymmetricInfoNCE()(taught, positives), 100 * (both[0] + both[1]) / (2 * logits.numel())


def caption_scores(captions: Tensor, frames: Tensor, mask: Tensor | None, scale: Tensor) -> Tensor:
    """Scores ``(N, M)``, of the captions ``(N, T, D)`` of one clip's frames and the frames ``(M, T, D)`` of another.

    Each caption finds its best frame and each frame its best caption; the mean of both directions, in which those
    count more that fit better, by a softmax of their scaled cosines.
    """
    cosines = torch.einsum('ntd,msd->nmts', unit(captions), unit(frames))
    if mask is None:
        mask = torch.ones(frames.shape[:2], dtype=torch.bool, device=frames.device)
    of_captions = cosines.masked_fill(~mask[:, None], float('-inf')).amax(dim=3)  # (N, M, T)
    of_frames = cosines.masked_fill(~mask[:, None, :, None], float('-inf')).amax(dim=2)  # (N, M, T)
    return (_best(of_captions, mask[:, None], scale) + _best(of_frames, mask, scale)) / 2


def _best(cosines: Tensor, valid: Tensor, scale: Tensor) -> Tensor:
    shares = (scale * cosines).masked_fill(~valid, float('-inf')).softmax(dim=-1)
    return (shares * cosines).sum(dim=-1)
