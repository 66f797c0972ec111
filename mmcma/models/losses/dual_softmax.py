"""InfoNCE whose logits are revised by the other direction (CAMoE: Cheng et al., arXiv 2109.04290, 2021)."""
from torch import Tensor

from mmcma.models.losses.info_nce import SymmetricInfoNCE
from mmcma.registry import MODELS
from mmcma.utils.errors import argument_error


@MODELS.register_module()
class DualSoftmaxLoss(SymmetricInfoNCE):
    """:class:`SymmetricInfoNCE` of ``N s softmax(s / temperature)``, the softmax along the other axis of length N.

    Text to visual, each row is compared after each logit was multiplied by
    the probability of its text among the N texts of the batch for that item,
    as a multiple of the even 1 / N, and the other way round: a pair counts where
    both directions agree. Captions of one item share that probability among
    them. No parameters. The factor N and the default are those of the released
    code (DSL.py of CAMoE); the paper's formula has neither. In tests the method takes a temperature of 1: see
    :class:`~mmcma.evaluation.DualSoftmax`.

    Args:
        temperature: Divides the logits in the revising softmax, above 0. At CLIP's scale of 100, 1000 revises each
            logit by some percent.

    Raises:
        ConfigError: ``temperature`` is not positive.
    """

    def __init__(self, *, temperature: float = 1000.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise argument_error(self, 'temperature', temperature, 'must be above 0.')
        self.temperature = temperature

    def forward(self, logits: Tensor, positives: Tensor) -> Tensor:
        """The revised InfoNCE, a scalar, of logits ``(N, M)`` and positives bool ``(N, M)``."""
        t2v, v2t = (logits * (logits / self.temperature).softmax(dim=axis) * logits.shape[axis] for axis in (0, 1))
        return (self._one_way(t2v, positives) + self._one_way(v2t.T, positives.T)) / 2
