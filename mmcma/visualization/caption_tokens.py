"""How many tokens captions have, and how much of them a model reads."""
from collections.abc import Mapping, Sequence

from mmcma.utils.errors import WeightsError

#: ``model_max_length`` of a tokenizer that knows no limit is far above this.
_NO_LIMIT = 10**6


class CaptionTokens:
    """A config's tokenizer and its token limit; the model's weights are not needed.

    Args:
        model: The ``model`` of a config.

    Attributes:
        limit (int | None): Most tokens that the model reads, start and end included; None where neither
            ``max_words`` nor the tokenizer says.

    Raises:
        WeightsError: The tokenizer is not on this machine. It is not downloaded.
    """

    def __init__(self, model: Mapping) -> None:
        from transformers import AutoTokenizer

        from mmcma.models.backbones.pretrained import locate
        from mmcma.models.caption_cleaning import clean_caption, is_clip_tokenizer
        tower = model.get('text_backbone') or {}
        source = tower.get('tokenizer') or tower.get('pretrained')
        if source is None:
            raise WeightsError('the config names no tokenizer (model.text_backbone)')
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(locate(source), local_files_only=True)
        except (OSError, ValueError) as error:
            raise WeightsError(f'the tokenizer of {source!r} is not on this machine') from error
        clean = (model.get('data_preprocessor') or {}).get('clean')
        self._clean = clean_caption if clean or clean is None and is_clip_tokenizer(self._tokenizer) else str
        limits = (model.get('data_preprocessor') or {}).get('max_words'), self._tokenizer.model_max_length
        self.limit: int | None = min((limit for limit in limits if limit and limit < _NO_LIMIT), default=None)

    def counts(self, captions: Sequence[str]) -> list[int]:
        """Tokens of each caption, start and end included."""
        read = [self._clean(caption) for caption in captions]
        return [len(ids) for ids in self._tokenizer(read, verbose=False).input_ids]

    def read_part(self, caption: str) -> str:
        """The beginning of ``caption`` that the model reads, down to its last token."""
        if self.limit is None or not self._tokenizer.is_fast or self.counts([caption])[0] <= self.limit:
            return caption
        encoded = self._tokenizer(caption, truncation=True, max_length=self.limit, return_offsets_mapping=True)
        return caption[:max(end for _, end in encoded.offset_mapping)]
