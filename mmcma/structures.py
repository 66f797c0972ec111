"""Data that travels between the parts: one item of a data set, and the features of many."""
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence


class RetrievalSample(BaseDataElement):
    """One visual item with its captions.

    The data set (``PackRetrievalInputs``) sets the fields up to ``frame_mask``; ``CrossModalRetriever`` adds the
    others in predict mode, float32 on the CPU.

    Attributes:
        item_id (str): The data set's own id.
        item_index (int): Position in the data set's item list; captions that
            share it describe the same item.
        path (str): File or frame folder.
        captions (list[str]): One in training, all of the item in a test set.
        caption_kinds (list[str]): What each caption takes to be told apart,
            parallel to ``captions``; only where the data set knows it.
        frame_captions (list[str]): Of each of the T frames; only in training, where the pipeline has them.
        frame_mask (Tensor): bool ``(T,)``, False on padding frames.
        visual_tokens (Tensor): ``(T, D)`` frame embeddings before normalisation, or ``(K, D)`` of the whole clip
            where the neck leaves such.
        visual_mask (Tensor): bool, False on those of padding frames.
        text_pooled (Tensor): ``(len(captions), D)`` before normalisation.
        caption_keys (list[tuple[int, ...]]): Parallel to ``captions``, their tokens; captions with equal ones are
            one to the model.
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
        mask: bool ``(B, T)`` or ``(N, L)``, True on valid tokens; None when all are valid.
        extra: What the neck's losses need besides, ``(B, ...)`` by name; in training alone.
    """
    pooled: Tensor
    tokens: Tensor | None = None
    mask: Tensor | None = None
    extra: Mapping[str, Tensor] = {}

    @staticmethod
    def of_frames(tokens: Tensor, mask: Tensor | None = None) -> 'VisualFeatures':
        """Visual features of frame embeddings ``(B, T, D)``; ``pooled`` is their mean over valid frames."""
        return VisualFeatures(masked_mean(tokens, mask), tokens, mask)

    @staticmethod
    def join(batches: Sequence['AnyFeatures']) -> 'AnyFeatures':
        """All rows in order; sequences of different length are padded with zeros, which the mask marks.

        Args:
            batches: One or more, alike in which fields they have.
        """
        length = max(0 if batch.tokens is None else batch.tokens.shape[1] for batch in batches)
        pooled, *sequences, extra = zip(*(batch.pad_to(length) for batch in batches))
        tokens, mask = (None if field[0] is None else torch.cat(field) for field in sequences)
        return batches[0]._replace(pooled=torch.cat(pooled), tokens=tokens, mask=mask, extra={
            name: torch.cat([part[name] for part in extra]) for name in extra[0]})

    def pad_to(self: 'AnyFeatures', length: int) -> 'AnyFeatures':
        """The same with ``tokens`` ``(B, length, D)``, zeros at the end, and a mask ``(B, length)``.

        Features without tokens stay as they are.
        """
        if self.tokens is None:
            return self
        missing = length - self.tokens.shape[1]
        mask = self.mask
        if mask is None:
            mask = torch.ones(self.tokens.shape[:2], dtype=torch.bool, device=self.tokens.device)
        return self._replace(tokens=F.pad(self.tokens, (0, 0, 0, missing)), mask=F.pad(mask, (0, missing)))

    def cut(self: 'AnyFeatures', length: int) -> 'AnyFeatures':
        """The same with no more than the first ``length`` tokens."""
        tokens, mask = (None if field is None else field[:, :length] for field in (self.tokens, self.mask))
        return self._replace(tokens=tokens, mask=mask)

    def rows(self: 'AnyFeatures', index: slice | Tensor) -> 'AnyFeatures':
        """The items that ``index`` (a slice, or an int or bool tensor) picks."""
        return self.each(lambda field: field[index])

    def to(self: 'AnyFeatures', device: torch.device | str) -> 'AnyFeatures':
        """The same on another device."""
        return self.each(lambda field: field.to(device))

    def each(self: 'AnyFeatures', change: Callable[[Tensor], Tensor]) -> 'AnyFeatures':
        """The same with every tensor changed."""
        tokens, mask = (None if field is None else change(field) for field in (self.tokens, self.mask))
        return self._replace(pooled=change(self.pooled), tokens=tokens, mask=mask,
                             extra={name: change(field) for name, field in self.extra.items()})


class VisualFeatures(Features):
    """Features of visual items: frame embeddings ``tokens`` ``(B, T, D)`` are always there."""
    __slots__ = ()
    tokens: Tensor


AnyFeatures = TypeVar('AnyFeatures', bound=Features)


def masked_mean(tokens: Tensor, mask: Tensor | None) -> Tensor:
    """Mean ``(B, D)`` over the valid ones of tokens ``(B, T, D)``; zeros where none is."""
    if mask is None:
        return tokens.mean(dim=1)
    weight = mask[..., None].to(tokens.dtype)  # (B, T, 1)
    return (tokens * weight).sum(dim=1) / weight.sum(dim=1).clamp_min(1)


def padded(sequences: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Sequences ``(L_i, D)`` as ``(N, L, D)``, zeros at the end, and the mask ``(N, L)``, False on padding."""
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    tokens = pad_sequence(list(sequences), batch_first=True)
    return tokens, torch.arange(tokens.shape[1]) < lengths[:, None]
