"""Interface of the losses."""
from mmengine.model import BaseModule
from torch import Tensor


class RetrievalLoss(BaseModule):
    """Compares scaled similarities with which of the pairs belong together."""

    def bind(self, logit_bias: float | None) -> None:
        """Learns the bias of the backbone's logits, which only one trained with a sigmoid loss has."""

    def forward(self, logits: Tensor, positives: Tensor) -> Tensor:
        """Loss of scaled similarities.

        Args:
            logits: ``(N, M)``.
            positives: bool ``(N, M)``, at least one True in each row and column.

        Returns:
            Scalar.
        """
        raise NotImplementedError
