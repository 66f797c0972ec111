"""Results as HTML."""
import re
from pathlib import Path

from mmcma.search import Hit
from mmcma.search.service.cards import cards, message

ROOT = Path('/media/root')


def card(name: str = 'a.mp4', end: float = 4.0, weights=(0.1, 0.6, 0.3)) -> str:
    weights = list(weights)
    times = [float(second) for second in range(len(weights))]
    return cards([Hit(str(ROOT / name), 0.25, 0.0, end, weights, times)], ROOT)


def test_a_bar_for_each_frame_as_high_as_its_weight():
    html = card()
    bars = re.findall(r'<button data-at="([\d.]+)" title="([^"]*)"( class=best)?><i style="height:([\d.]+)%">', html)
    assert bars == [
        ('0.000', '0.0 s · 10.0% of the score', '', '16.7'),
        ('1.000', '1.0 s · 60.0% of the score', ' class=best', '100.0'),
        ('2.000', '2.0 s · 30.0% of the score', '', '50.0')]
    assert 'best at 1.0 s' in html and 'poster="thumbnail/a.mp4?at=1.000"' in html and 'src="media/a.mp4"' in html


def test_without_weights_there_are_no_bars():
    for html in (card(weights=()), card(weights=(1.0,)), card('a.png', end=0.0, weights=(1.0,))):
        assert 'class="weights"' not in html and '0.250' in html
    assert 'at=0.000' in card(weights=()) and '<img src="thumbnail/a.png"' in card('a.png', end=0.0, weights=(1.0,))


def test_equal_weights_have_no_best_moment_and_ties_the_first():
    equal, ties = card(weights=(0.5, 0.5)), card(weights=(0.2, 0.4, 0.4))
    assert 'class="weights"' in equal and 'best' not in equal and '?at=0.000' in equal
    assert ties.count('class=best') == 1 and 'best at 1.0 s' in ties and '?at=1.000' in ties


def test_lengths():
    for end, words in ((9.54, '9.5 s'), (61, '1:01'), (3723, '1:02:03')):
        assert f'class="length">{words}<' in card(end=end)


def test_names_are_no_markup():
    html = card('sub dir/${alert(1)} {{x}} <b>"&\'#?.png', end=0.0)
    assert not set('${}') & set(html) and '<b>' not in html
    assert 'thumbnail/sub%20dir/%24%7Balert%281%29%7D%20%7B%7Bx%7D%7D%20%3Cb%3E%22%26%27%23%3F.png"' in html
    assert '<b>' not in message('<b>')
