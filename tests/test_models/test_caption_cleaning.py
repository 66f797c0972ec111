"""CLIP's cleaning of captions: what it mends, what it leaves, and where it is on."""
import string
import sys

import pytest
import torch
from helpers.clip import model_config
from hypothesis import given
from hypothesis import strategies as st

from mmcma.models import caption_cleaning
from mmcma.models.caption_cleaning import clean_caption, has_ftfy
from mmcma.models.data_preprocessor import RetrievalDataPreprocessor
from mmcma.utils.errors import ConfigError

needs_ftfy = pytest.mark.skipif(not has_ftfy(), reason='ftfy is not installed')


def tokens(build, pretrained: str, caption: str, **options) -> list[int]:
    preprocessor = build(model_config(pretrained, data_preprocessor=dict(
        type='RetrievalDataPreprocessor', max_words=32, **options))).data_preprocessor
    ids, mask = preprocessor.tokenise([caption])
    assert preprocessor.token_counts([caption]) == [int(mask.sum())]
    return ids[0].tolist()


@pytest.mark.parametrize('caption, clean', [
    ('rock &amp; roll', 'rock & roll'), ('rock &amp;amp; roll', 'rock & roll'), ('5 &lt; 6 &#39;ok&#39;', "5 < 6 'ok'"),
    (' a  red\n\tcircle ', 'a red circle'), ('a red circle', 'a red circle'), ('R&B', 'R&B'),
    ('100% of "it" <b>', '100% of "it" <b>')])
def test_html_and_blanks(caption, clean):
    assert clean_caption(caption) == clean


@needs_ftfy
@pytest.mark.parametrize('caption, clean', [
    ('schÃ¶n', 'schön'), ('the dogâ€™s ball', "the dog's ball"), ('a “dog”', 'a "dog"'), ('re\u0301d', 'r\u00e9d'),
    ('ｆｕｌｌ', 'full'), ('красный круг', 'красный круг'), ('红色的圆圈', '红色的圆圈'),
    ('a \x1b[31mred\x1b[0m dot', 'a red dot'),
    ('&Atilde;&copy;t&Atilde;&copy;', 'été')])
def test_mojibake(caption, clean):
    assert clean_caption(caption) == clean


@needs_ftfy
@given(st.text(string.printable.translate(dict.fromkeys(map(ord, '&\x0b\x0c')))))
def test_what_is_passed_by_is_what_ftfy_would_leave(caption):
    from ftfy import fix_text
    assert clean_caption(caption) == ' '.join(fix_text(caption).split())


def test_without_ftfy_one_warning_and_no_mending(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, 'ftfy', None)
    monkeypatch.setattr(caption_cleaning, 'has_ftfy', lambda: False)
    said = []
    monkeypatch.setattr(caption_cleaning, 'print_log', lambda message, **_: said.append(message))
    caption_cleaning._fix_text.cache_clear()
    try:
        assert clean_caption('a\ndog &amp; a cat') == 'a dog & a cat' and said == []
        assert [clean_caption(caption) for caption in ('schön  &amp; gut', 'été')] == ['schön & gut', 'été']
    finally:
        caption_cleaning._fix_text.cache_clear()
    assert len(said) == 1 and 'pip install ftfy' in said[0]


def test_on_for_clip_and_off_where_it_is_said(build, tiny_clip):
    clean, raw = 'rock & roll', 'rock &amp; roll'
    assert tokens(build, tiny_clip, raw) == tokens(build, tiny_clip, clean)
    assert tokens(build, tiny_clip, raw, clean=False) != tokens(build, tiny_clip, clean)
    assert tokens(build, tiny_clip, clean, clean=False) == tokens(build, tiny_clip, clean)


def test_off_for_other_tokenizers(build, tiny_clip):
    model = build(model_config(tiny_clip))
    tower = model.text_backbone
    other = type('BertTokenizer', (type(tower.tokenizer),), {})
    tower.tokenizer.__class__ = other
    model.data_preprocessor.bind(image_mean=[0.5] * 3, image_std=[0.5] * 3, tokenizer=tower.tokenizer,
                                 context_length=40)
    assert not torch.equal(*(model.data_preprocessor.tokenise([text])[0][:, :4] for text in ('R &amp; B', 'R & B')))


def test_asked_for_without_ftfy_is_refused(monkeypatch):
    monkeypatch.setattr('mmcma.models.data_preprocessor.has_ftfy', lambda: False)
    with pytest.raises(ConfigError, match='RetrievalDataPreprocessor.clean=True needs ftfy: pip install ftfy'):
        RetrievalDataPreprocessor(clean=True)
