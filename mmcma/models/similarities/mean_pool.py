"""Mean of the frames (CLIP4Clip's meanP: Luo et al., Neurocomputing 508, 2022)."""
from torch import Tensor

from mmcma.models.similarities.base import Similarity, require_tokens, unit
from mmcma.registry import MODELS
from mmcma.structures import Features


@MODELS.register_module()
class MeanPool(Similarity):
    """Cosine of the text and the mean of the item's L2-normalised frames; no parameters."""

    def forward(self, text: Features, visual: Features) -> Tensor:
        """See :meth:`Similarity.forward`."""
        frames = unit(require_tokens(visual, 'MeanPool').float())
        if visual.mask is not None:
            frames = frames * visual.mask[..., None]
        # The length of the sum is divided away: a sum is as good as a mean.
        return unit(text.pooled.float()) @ unit(frames.sum(dim=1)).T
