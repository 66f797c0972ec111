"""What travels between the parts: one item of a data set, and the features of many."""
from typing import NamedTuple, Optional

from mmengine.structures import BaseDataElement
from torch import Tensor


class RetrievalSample(BaseDataElement):
    """One visual item with its captions.

    Fields set by the data set (``PackRetrievalInputs``):
        item_id (str): The data set's own id.
        item_index (int): Position in the data set's item list; captions that
            share it describe the same item.
        path (str): File or frame folder.
        captions (list[str]): One in training, all of the item in a test set.
        caption_kinds (list[str]): What each caption takes to be told apart,
            parallel to ``captions``; only where the data set knows it.
        frame_mask (Tensor): bool ``(T,)``, False on padding frames.

    Fields added by ``CrossModalRetriever`` in predict mode, float32 on the CPU:
        visual_tokens (Tensor): ``(T, D)`` frame embeddings before normalisation.
        text_pooled (Tensor): ``(len(captions), D)`` before normalisation.
        text_tokens (Tensor): ``(len(captions), L, D)`` embeddings of words, where the
            similarity compares them; L is that of the batch.
        text_mask (Tensor): bool ``(len(captions), L)``, False on padding; with ``text_tokens``.
    """


class Features(NamedTuple):
    """Embeddings of a batch before L2 normalisation, float32.

    Attributes:
        pooled: ``(B, D)``; for visual items the mean of the valid tokens.
        tokens: ``(B, T, D)`` frame embeddings; for text those of the words,
            ``(N, L, D)``, where the similarity asks for them, else None.
        mask: bool, as ``tokens`` without D, True on valid tokens; None when all are valid.
    """
    pooled: Tensor
    tokens: Optional[Tensor] = None
    mask: Optional[Tensor] = None

    def rows(self, index) -> 'Features':
        """The items that ``index`` (a slice, or an int or bool tensor) picks."""
        return Features(*(None if field is None else field[index] for field in self))

    def to(self, device) -> 'Features':
        """The same on another device."""
        return Features(*(None if field is None else field.to(device) for field in self))
