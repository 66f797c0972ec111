"""Pages made of templates: what is text stays text, and what is missing is an error."""
import pytest
from jinja2 import UndefinedError

from mmcma.visualization.contact_sheet import Shown, contact_sheet
from mmcma.visualization.page import data_uri, render


def test_a_caption_is_text_and_no_script():
    words = '<script>alert("1")</script>'
    page = contact_sheet(words, words, {words: words}, [Shown(words, [(words, words)], notes=[words], error=words)])
    assert '<script' not in page and page.count('&lt;script&gt;') == 10


def test_a_room_has_templates_of_its_own_on_the_same_base(tmp_path):
    (tmp_path / 'own.html.j2').write_text(
        "{% extends 'base.html.j2' %}{% block body %}"
        "<img src=\"{{ image | data_uri('png') }}\">{{ text }}{% endblock %}")
    page = render('own.html.j2', folder=tmp_path, title='t', subtitle='s', image=b'abc', text='a & b')
    assert '<h1>t</h1><p>s</p>' in page and '<img src="data:image/png;base64,YWJj">a &amp; b' in page
    assert data_uri(b'abc', 'jpeg') == 'data:image/jpeg;base64,YWJj'
    with pytest.raises(UndefinedError, match="'text' is undefined"):
        render('own.html.j2', folder=tmp_path, title='t', subtitle='s', image=b'abc')
