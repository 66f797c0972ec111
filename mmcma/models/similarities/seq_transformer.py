"""A transformer over the frames (CLIP4Clip's seqTransf: Luo et al., Neurocomputing 508, 2022)."""
import torch
from torch import Tensor, nn

from mmcma.models.similarities.base import require_tokens
from mmcma.models.similarities.mean_pool import mean_cosine
from mmcma.models.similarities.transformer import FrameTransformer, clip_layers, require_positions
from mmcma.registry import MODELS
from mmcma.structures import Features


@MODELS.register_module()
class SeqTransformer(FrameTransformer):
    """:class:`~mmcma.models.MeanPool` of ``f + transformer(f + p)``, with frames f and learned positions p.

    Trains ``num_layers (12 D^2 + 13 D) + max_frames D`` parameters. On images
    it works, and knows one position.

    Args:
        num_layers: Depth.
        max_frames: Most frames of a clip.
        init: ``'identity'``: positions and the end of every residual branch start at zero, so that training begins
            with exactly the scores of MeanPool. ``'released'``, as CLIP4Clip: with the first layers and positions of
            CLIP's text tower.

    Raises:
        ConfigError: A clip has more frames than ``max_frames``, or the text tower has no such layers.
    """
    least_tokens = 2

    def bind(self, embed_dim: int) -> None:
        """Builds positions and layers for embeddings of width D."""
        self.positions = nn.Parameter(torch.zeros(self.max_frames, embed_dim))
        self.layers = clip_layers(embed_dim, self.num_layers)
        for layer in self.layers.layers:
            for last in (layer.self_attn.out_proj, layer.linear2):
                nn.init.zeros_(last.weight)
                nn.init.zeros_(last.bias)

    def forward(self, text: Features, visual: Features) -> Tensor:
        """Cosines ``(N, M)``, float32, of N texts and M visual items."""
        frames = require_tokens(visual, 'SeqTransformer').float()  # (M, T, D)
        num_frames = frames.shape[1]
        require_positions(self, num_frames, self.max_frames)
        padding = None if visual.mask is None else ~visual.mask
        mixed = self.layers(frames + self.positions[:num_frames], src_key_padding_mask=padding)
        return mean_cosine(text.pooled, frames + mixed, visual.mask)
