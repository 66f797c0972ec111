"""An LSTM over the frames (CLIP4Clip's seqLSTM: Luo et al., Neurocomputing 508, 2022)."""
from torch import Tensor, nn

from mmcma.models.similarities.base import Init, Similarity, check_init, require_tokens
from mmcma.models.similarities.mean_pool import mean_cosine
from mmcma.registry import MODELS
from mmcma.structures import Features


@MODELS.register_module()
class SeqLSTM(Similarity):
    """:class:`~mmcma.models.MeanPool` of ``f + lstm(f)``, frames f read in order by one layer.

    Trains ``8 D^2 + 8 D`` parameters. Padding follows the frames and is read
    last, so that it needs no mask here. On images it works, and reads one frame.

    Args:
        init: ``'identity'``: the cells' candidate values start at zero, and the output with them, so that training
            begins with exactly the scores of MeanPool. ``'released'``, as CLIP4Clip: PyTorch's own start.
    """
    least_tokens = 2

    def __init__(self, *, init: Init = 'identity') -> None:
        super().__init__()
        check_init(self, init)
        self.init = init

    def bind(self, embed_dim: int) -> None:
        """Builds the LSTM for embeddings of width D."""
        self.lstm = nn.LSTM(embed_dim, embed_dim, batch_first=True)
        if self.init == 'released':
            return
        candidate = slice(2 * embed_dim, 3 * embed_dim)  # PyTorch's order of gates: input, forget, candidate, output
        for parameter in self.lstm.parameters():
            nn.init.zeros_(parameter[candidate])

    def forward(self, text: Features, visual: Features) -> Tensor:
        """Cosines ``(N, M)``, float32, of N texts and M visual items."""
        frames = require_tokens(visual, 'SeqLSTM').float()  # (M, T, D)
        mixed, _ = self.lstm(frames)
        return mean_cosine(text.pooled, frames + mixed, visual.mask)
