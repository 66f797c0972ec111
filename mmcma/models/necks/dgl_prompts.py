"""The latent spaces that DGL's prompts of frames and of captions come from (Yang et al., AAAI 2024)."""
import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN


class TransformerSpace(nn.Module):
    """One learned sequence a layer, mixed by one transformer layer, the front of it mapped to captions' prompts.

    A sequence has the prompts of captions, before and behind them, and those of each frame of a clip.

    Args:
        depth: Sequences, one for each layer of the towers.
        width: Channels of the vision tower.
        text_width: Channels of the text tower.
        frame: Prompts of a frame.
        frames: Most frames of a clip.
        prefix: Prompts of a caption.
        postfix: Prompts behind it, which act on the others and are not given.
        num_heads: Heads of the transformer layer.
    """

    def __init__(self, *, depth: int, width: int, text_width: int, frame: int, frames: int, prefix: int, postfix: int,
                 num_heads: int) -> None:
        super().__init__()
        self.frame = frame
        self.prefix = prefix
        self.before_frames = prefix + postfix
        self.tokens = nn.Parameter(torch.randn(depth, self.before_frames + frames * frame, width))
        self.mixer = nn.TransformerEncoderLayer(width, num_heads, 4 * width, dropout=0.0, batch_first=True,
                                                activation=ACT2FN['quick_gelu'], norm_first=True)
        self.to_text = nn.Sequential(nn.Linear(width, 2 * width), ACT2FN['quick_gelu'],
                                     nn.Linear(2 * width, text_width))

    def of_frames(self, layer: int, num_frames: int) -> Tensor:
        """A layer's prompts of the first frames, ``(num_frames, frame, width)``."""
        return self._mixed(layer)[self.before_frames:].unflatten(0, (-1, self.frame))[:num_frames]

    def of_captions(self, layer: int, hidden: Tensor) -> Tensor:
        """A layer's prompts of captions, ``(prefix, text_width)``."""
        return self.to_text(self._mixed(layer)[:self.prefix])

    def _mixed(self, layer: int) -> Tensor:
        return self.mixer(self.tokens[layer, None])[0]


class LinearSpace(nn.Module):
    """The prompts of a frame, the same for all frames, and their linear image, the prompts of captions.

    Args:
        depth: Layers with prompts of their own.
        width: Channels of the vision tower.
        text_width: Channels of the text tower.
        frame: Prompts of a frame, and of a caption.
    """

    def __init__(self, *, depth: int, width: int, text_width: int, frame: int) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.empty(depth, frame, width))
        self.to_text = nn.Linear(width, text_width)
        nn.init.normal_(self.tokens, std=0.02)

    def of_frames(self, layer: int, num_frames: int) -> Tensor:
        """A layer's prompts of the frames, ``(num_frames, frame, width)``."""
        return self.tokens[layer].expand(num_frames, -1, -1)

    def of_captions(self, layer: int, hidden: Tensor) -> Tensor:
        """A layer's prompts of captions, ``(frame, text_width)``."""
        return self.to_text(self.tokens[layer])
