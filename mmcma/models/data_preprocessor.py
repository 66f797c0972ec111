"""The step from what the data loader gives to what the towers take."""
from contextlib import contextmanager

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from mmcma.models.caption_cleaning import clean_caption, has_ftfy, is_clip_tokenizer
from mmcma.models.text_memory import CaptionKey
from mmcma.registry import MODELS
from mmcma.structures import RetrievalSample
from mmcma.utils.errors import ConfigError, argument_error, short


@MODELS.register_module()
class RetrievalDataPreprocessor(BaseDataPreprocessor):
    """Stacks a batch as uint8 on the device; normalises frames and tokenises captions for the towers.

    Args:
        max_words: Most tokens of a caption, its start and end tokens included;
            None for the text tower's own limit.
        clean: Whether captions are cleaned as OpenAI's CLIP cleans them (mojibake mended by ftfy, HTML unescaped);
            None for yes where the tokenizer is CLIP's.

    Raises:
        ConfigError: ``max_words`` is below 3 or, in :meth:`bind`, not what
            the text tower takes; or ``clean`` is True and ftfy is not installed.
    """
    mean: Tensor
    std: Tensor

    def __init__(self, *, max_words: int | None = None, clean: bool | None = None) -> None:
        super().__init__()
        if max_words is not None and max_words < 3:
            raise argument_error(self, 'max_words', max_words, 'leaves no room for a word: at least 3.')
        if clean and not has_ftfy():
            raise argument_error(self, 'clean', clean, 'needs ftfy: pip install ftfy.')
        self.max_words, self.clean = max_words, clean

    def bind(self, *, image_mean: list[float], image_std: list[float], tokenizer: PreTrainedTokenizerBase,
             context_length: int, pads_to_limit: bool = False, num_prompts: int = 0,
             frame_captions: bool = False) -> None:
        """Takes normalisation and tokenizer from the towers.

        Args:
            image_mean: Mean per RGB channel, of pixels in [0, 1].
            image_std: Standard deviation per RGB channel, of pixels in [0, 1].
            tokenizer: A ``transformers`` tokenizer.
            context_length: Most tokens that the text tower takes.
            pads_to_limit: Whether it takes captions of exactly that many tokens.
            num_prompts: Places of the text tower that are left free for learned tokens.
            frame_captions: Whether training takes captions of single frames.
        """
        if self.max_words is not None and self.max_words > context_length:
            raise argument_error(self, 'max_words', self.max_words, "exceeds the text tower's "
                                f'{context_length} tokens.')
        if pads_to_limit and self.max_words not in (None, context_length):
            raise argument_error(self, 'max_words', self.max_words, 'does not fit: the text tower was trained on '
                                f'captions padded to its full length, {context_length} tokens; set it to None.')
        self.limit = self.max_words or context_length
        self.context_length = context_length
        self.num_prompts = num_prompts
        self.frame_captions = frame_captions
        self.padding = 'max_length' if pads_to_limit else 'longest'
        self.tokenizer = tokenizer
        self._cleans = is_clip_tokenizer(tokenizer) if self.clean is None else self.clean
        mean, std = (torch.tensor(x).view(3, 1, 1) * 255 for x in (image_mean, image_std))
        self.register_buffer('mean', mean, persistent=False)
        self.register_buffer('std', std, persistent=False)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Tensors on the device from a batch of lists.

        Args:
            data: ``inputs``, a list of uint8 ``(T, 3, H, W)``, and
                ``data_samples``, a list of :class:`RetrievalSample`.
            training: Whether ``caption_keys`` are left out.

        Returns:
            ``data_samples`` as they were, and ``inputs``: ``pixels`` float32 ``(B, T, 3, H, W)`` and ``mask`` bool
            ``(B, T)``; of the N captions of all samples, in order, ``token_ids`` int64 and ``token_mask`` bool
            ``(N, L)``, and ``caption_keys``, see :meth:`tokenise_with_keys`. In a training with captions of frames the
            former are ``(B, 1 + T, L)``, each caption followed by those of its item's T frames.

        Raises:
            ConfigError: A sample to train with lacks the captions of its frames.
        """
        samples = data['data_samples']
        clips = self.cast_data(dict(frames=torch.stack(data['inputs']),
                                    mask=torch.stack([sample.frame_mask for sample in samples])))
        described = training and self.frame_captions
        token_ids, token_mask, keys = self.tokenise_with_keys(
            [caption for sample in samples for caption in (_with_frames(sample) if described else sample.captions)])
        if described:
            token_ids, token_mask = (x.unflatten(0, (len(samples), -1)) for x in (token_ids, token_mask))
        return dict(inputs=dict(pixels=self.normalise(clips['frames']), mask=clips['mask'], token_ids=token_ids,
                                token_mask=token_mask, **({} if training else dict(caption_keys=keys))),
                    data_samples=samples)

    def normalise(self, frames: Tensor) -> Tensor:
        """Frames uint8 ``(..., 3, H, W)`` as the vision tower takes them: float32 of the same shape."""
        return (frames.float() - self.mean) / self.std

    def tokenise(self, captions: list[str]) -> tuple[Tensor, Tensor]:
        """Token ids int64 and mask bool (False on padding), both ``(N, L)`` on the device.

        L is the longest caption's length, or the text tower's own where it
        takes no other; captions longer than the limit are cut.

        Args:
            captions: N texts.
        """
        token_ids, mask, _ = self.tokenise_with_keys(captions)
        return token_ids, mask

    @torch.compiler.disable
    def tokenise_with_keys(self, captions: list[str]) -> tuple[Tensor, Tensor, list[CaptionKey]]:
        """What :meth:`tokenise` gives, and for each caption a key: equal where the model reads the same."""
        limit = min(self.limit, self.context_length - self.num_prompts)
        encoded = self.tokenizer(self._cleaned(captions), padding=self.padding, truncation=True, max_length=limit,
                                 return_attention_mask=True)
        keys = [tuple(ids[:len(mask) - mask[::-1].index(1)])
                for ids, mask in zip(encoded.input_ids, encoded.attention_mask)]
        token_ids, mask = torch.tensor(encoded.input_ids), torch.tensor(encoded.attention_mask).bool()
        return token_ids.to(self.device), mask.to(self.device), keys

    def token_counts(self, captions: list[str]) -> list[int]:
        """Tokens of each caption, start and end included, before any is cut."""
        return [len(ids) for ids in self.tokenizer(self._cleaned(captions), verbose=False).input_ids]

    def _cleaned(self, captions: list[str]) -> list[str]:
        return [clean_caption(caption) for caption in captions] if self._cleans else captions

    def trim(self, token_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of token ids and mask ``(n, L)`` without the padding that all of them have."""
        if self.padding == 'max_length':
            return token_ids, mask
        longest = int(mask.sum(dim=1).max())
        return token_ids[:, :longest], mask[:, :longest]

    @contextmanager
    def without_prompts(self):
        """A context in which no places are left free for learned tokens."""
        num_prompts, self.num_prompts = self.num_prompts, 0
        try:
            yield
        finally:
            self.num_prompts = num_prompts


def _with_frames(sample: RetrievalSample) -> list[str]:
    """The caption of a sample to train with and those of its frames."""
    captions = getattr(sample, 'frame_captions', None)
    if captions is None:
        raise ConfigError(f'the item {short(sample.item_id)} brings no captions of its frames, and the neck compares '
                          'those: add LoadFrameCaptions to the pipeline of train_dataloader.dataset, or set '
                          'model.neck.frame_captions=False.')
    return [*sample.captions, *captions]
