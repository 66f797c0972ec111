"""The cleaning of captions that CLIP was trained with, before they become tokens."""
import html
import logging
import re
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec

from mmengine.logging import print_log
from transformers import PreTrainedTokenizerBase

_PLAIN = re.compile(r'[ -~\t\n\r]*')


def clean_caption(caption: str) -> str:
    """A caption as OpenAI's tokenizer cleans it: mojibake mended by ftfy, HTML unescaped twice, blanks made one.

    In plain ASCII there is nothing to mend. Where ftfy is not installed other captions stay as they are, with one
    warning.
    """
    if not _PLAIN.fullmatch(html.unescape(caption)):
        caption = _fix_text()(caption)
    return ' '.join(html.unescape(html.unescape(caption)).split())


def is_clip_tokenizer(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the tokenizer is that of OpenAI's CLIP, in either form of ``transformers``."""
    return type(tokenizer).__name__ in ('CLIPTokenizer', 'CLIPTokenizerFast')


def has_ftfy() -> bool:
    """Whether ftfy is installed."""
    return find_spec('ftfy') is not None


@cache
def _fix_text() -> Callable[[str], str]:
    if has_ftfy():
        from ftfy import fix_text
        return fix_text
    print_log('CLIP was trained on captions that ftfy had cleaned, and ftfy is not installed: those with accents, '
              'curly quotes or broken encodings are read as they are. pip install ftfy, or set '
              'model.data_preprocessor.clean=False', logger='current', level=logging.WARNING)
    return str
