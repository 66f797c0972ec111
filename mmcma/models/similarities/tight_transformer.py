"""A transformer over text and frames together (CLIP4Clip's tightTransf: Luo et al., Neurocomputing 508, 2022)."""
import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN

from mmcma.models.similarities.base import require_tokens
from mmcma.models.similarities.chunks import score_in_chunks
from mmcma.models.similarities.transformer import FrameTransformer, clip_layers, require_positions, start_as_bert
from mmcma.registry import MODELS
from mmcma.structures import Features

_RELEASED_DROPOUT = 0.1


@MODELS.register_module()
class TightTransformer(FrameTransformer):
    """A logit from a cross encoder that reads ``[text; frames]`` of each pair.

    The text's place in the last layer goes through LayerNorm, a hidden layer
    and a linear one to the score. It is no cosine and the head does not scale
    it. The scorer starts at random, so that the scores mean nothing before
    training. Position 0 is the text's, so that text and frames need no embedding
    of their type. On images it works.

    Trains ``num_layers (12 D^2 + 13 D) + (1 + max_frames) D + D^2 + 4 D`` parameters. A pair
    costs the whole transformer: on large galleries let it re-rank
    (:class:`~mmcma.evaluation.Reranking`).

    Args:
        num_layers: Depth.
        max_frames: Most frames of a clip.
        init: ``'identity'``: layers and positions start at random too. ``'released'``, as CLIP4Clip: with the first
            layers and positions of CLIP's text tower, and with its dropout of 0.1 on what goes into the layers.

    Raises:
        ConfigError: A clip has more frames than ``max_frames``, or the text tower has no such layers.
    """
    is_cosine = False
    least_tokens = 2

    def bind(self, embed_dim: int) -> None:
        """Builds positions, layers and scorer for embeddings of width D."""
        self.dropout = nn.Dropout(_RELEASED_DROPOUT if self.init == 'released' else 0.0)
        self.positions = nn.Parameter(torch.empty(1 + self.max_frames, embed_dim))
        nn.init.trunc_normal_(self.positions, std=0.02)
        self.layers = clip_layers(embed_dim, self.num_layers)
        # No last bias: what is added to every score changes neither a rank nor a softmax.
        self.scorer = nn.Sequential(nn.LayerNorm(embed_dim), nn.Linear(embed_dim, embed_dim), ACT2FN['quick_gelu'],
                                    nn.Linear(embed_dim, 1, bias=False))
        if self.init == 'released':
            start_as_bert(self.scorer)

    def forward(self, text: Features, visual: Features) -> Tensor:
        """Logits ``(N, M)``, float32, of N texts and M visual items."""
        _, num_frames, width = require_tokens(visual, 'TightTransformer').shape
        require_positions(self, num_frames, self.max_frames)
        # A layer keeps about 16 hidden states' worth for the backward pass.
        values = 16 * self.num_layers * (1 + num_frames) * width
        return score_in_chunks(self._score, text, visual, values)

    def _score(self, text: Features, visual: Features) -> Tensor:
        frames = require_tokens(visual, 'TightTransformer').float()  # (M, T, D)
        num_texts, (num_items, num_frames, _) = len(text.pooled), frames.shape
        pairs = torch.cat([text.pooled.float()[:, None, None].expand(-1, num_items, -1, -1),
                           frames.expand(num_texts, -1, -1, -1)], dim=2)  # (N, M, 1 + T, D)
        padding = None
        if visual.mask is not None:
            padding = nn.functional.pad(~visual.mask, (1, 0)).repeat(num_texts, 1)  # (N * M, 1 + T)
        entering = self.dropout(pairs + self.positions[:1 + num_frames])
        hidden = self.layers(entering.flatten(0, 1), src_key_padding_mask=padding)
        return self.scorer(hidden[:, 0]).view(num_texts, num_items)
