"""The page, driven in headless Chromium."""
import re
import shutil
from pathlib import Path

import pytest
from helpers.media import write_image, write_video
from helpers.server import live
from playwright.sync_api import Page, expect, sync_playwright

from mmcma.apis import RetrievalInferencer, init_model
from mmcma.datasets.glyph_motion.clips import Recipe, render_frames, write_clip
from mmcma.datasets.glyph_motion.scenes import plan_scenes
from mmcma.search import Gallery, index_folder

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason='no Chromium is installed')
ODD_NAME = 'new\nline \x1b[31m ${alert(1)} {{x}} <b>"&\'#.png'
SHOWN_NAME = 'new␊line ␛[31m ${alert(1)} {{x}} <b>"&\'#.png'


@pytest.fixture(scope='module')
def gallery(tmp_path_factory):
    """Eight clips of moving glyphs in H.264, one that no browser plays, eight images and one with an odd name."""
    base = tmp_path_factory.mktemp('page')
    root, recipe = base / 'root', Recipe()
    (root / 'glyphs').mkdir(parents=True)
    for number, scene in enumerate(plan_scenes('test', 8, seed=0)):
        write_clip(root / 'glyphs' / f'{number}.mp4', render_frames(scene, recipe), recipe.fps)
    write_video(root / 'old' / 'grey.avi', 120, fps=10, codec='mpeg4', b_frames=0)
    write_image(root / 'old' / ODD_NAME, grey=230)
    for number in range(8):
        write_image(root / 'images' / f'{number}.png', grey=20 * number)
    inferencer = RetrievalInferencer(init_model('tiny', device='cpu'))
    index_folder(root, base / 'gallery', inferencer, model='tiny', workers=1)
    return Gallery(base / 'gallery', inferencer)


@pytest.fixture(scope='module')
def url(gallery, tmp_path_factory):
    with live(gallery, tmp_path_factory.mktemp('service'), max_upload=1) as address:
        yield address


@pytest.fixture(scope='module')
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox'])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, url):
    """The page, opened; no request of it may lead elsewhere, and its scripts and its policy may not fail."""
    page, requests, errors = browser.new_page(), [], []
    page.on('request', lambda request: requests.append(request.url))
    page.on('pageerror', lambda error: errors.append(str(error)))
    page.on('console', lambda message: errors.append(message.text) if 'Content Security' in message.text else None)
    page.goto(url)
    page.locator('article').first.wait_for()
    yield page
    assert [request for request in requests if not request.startswith(url)] == errors == []
    page.close()


def ask(page: Page, text: str) -> None:
    page.locator('#q').fill(text)
    page.locator('#q').press('Enter')
    page.locator('.score, #status.wrong').first.wait_for()


def names(page: Page) -> list[str]:
    return [name.get_attribute('title') for name in page.locator('article .file').all()]


def card_of(page: Page, name: str):
    return page.locator('article').filter(has=page.locator(f'.file[title="{name}"]'))


def playing(page: Page, name: str, start: float) -> dict:
    """The state of a video when it has come further than ``start`` seconds."""
    card = card_of(page, name).element_handle()
    page.wait_for_function("""([card, start]) => {
        const video = card.querySelector('video');
        return video?.readyState >= 2 && (video.ended || video.currentTime > start);
    }""", arg=[card, start])
    return card_of(page, name).locator('video').evaluate(
        'video => ({src: video.src, width: video.videoWidth, error: video.error, controls: video.controls})')


def test_a_text_finds_what_the_gallery_finds(page, gallery):
    text = 'a red circle moves to the left'
    ask(page, text)
    hits = gallery.search_text(text, 12, 240)
    assert names(page)[:12] == [Path(hit.path).relative_to(gallery.root).as_posix().replace('\n', '␊').replace(
        '\x1b', '␛') for hit in hits]
    number = next(place for place, hit in enumerate(hits) if len(hit.frame_weights) > 1)
    card, hit = page.locator('article').nth(number), hits[number]
    expect(card.locator('.score')).to_have_text(f'{hit.score:.3f}')
    heights = [float(re.search(r'height: ([\d.]+)%', bar.get_attribute('style'))[1])
               for bar in card.locator('.weights i').all()]
    assert heights == pytest.approx([100 * weight / max(hit.frame_weights) for weight in hit.frame_weights], abs=0.06)
    assert card.locator('.weights .best').count() == 1 and card.locator('.where b.own').count() == 1


def test_scrolling_brings_the_next_page(page, gallery):
    ask(page, 'a blue star')
    page.locator('footer').scroll_into_view_if_needed()
    expect(page.locator('article')).to_have_count(len(gallery))
    assert len(set(names(page))) == len(gallery)
    assert [rank.inner_text() for rank in page.locator('.rank').all()] == [str(n + 1) for n in range(len(gallery))]


def test_results_play_from_their_moment_on(page):
    ask(page, 'a blue star')
    page.locator('footer').scroll_into_view_if_needed()
    card = card_of(page, 'glyphs/0.mp4')
    start = card.evaluate('card => card.hit.best_moment ?? card.hit.start')
    card.locator('.play').click()
    assert playing(page, 'glyphs/0.mp4', start) | dict(src='') == dict(src='', width=64, error=None, controls=False)
    assert 'items/media' in playing(page, 'glyphs/0.mp4', 0)['src']
    old = card_of(page, 'old/grey.avi')  # no browser plays it
    old.locator('.where').click(position=dict(x=old.locator('.where').bounding_box()['width'] / 2, y=4))
    state = playing(page, 'old/grey.avi', 0.1)
    at = float(re.search(r'at=([\d.]+)', state['src'])[1])
    assert 'items/preview' in state['src'] and at == pytest.approx(6, abs=0.2) and state['width'] == 64
    expect(old.locator('.time')).to_have_text(re.compile(r'0:0[67] / 0:12'))
    assert page.locator('video').count() == 1  # the first one was stopped
    page.keyboard.press('ArrowLeft')


def test_keys(page):
    page.locator('#q').blur()
    page.keyboard.press('/')
    expect(page.locator('#q')).to_be_focused()
    ask(page, 'a blue star')
    page.locator('#q').blur()
    for key, focused in (('j', 0), ('j', 1), ('k', 0), ('k', 0)):
        page.keyboard.press(key)
        expect(page.locator('article').nth(focused)).to_be_focused()
    page.locator('article:has(video, .where)').first.focus()
    page.keyboard.press(' ')
    page.locator('video').wait_for()
    page.keyboard.press('m')
    expect(page.locator('#status')).to_have_text(re.compile('^like '))
    assert 'like=' in page.url


def test_more_like_this_and_the_way_back(page):
    first = names(page)
    card_of(page, 'images/5.png').locator('.like').click()
    expect(page.locator('.score').first).to_have_text('1.000')
    assert names(page)[0] == 'images/5.png'
    expect(page.locator('.weights button')).to_have_count(0)  # no text weighs the frames
    page.go_back()
    expect(page.locator('.score')).to_have_count(0)
    expect(page.locator('article')).to_have_count(len(first))
    assert names(page) == first
    page.go_forward()
    expect(page.locator('.score').first).to_have_text('1.000')


def test_a_link_to_an_answer(browser, url):
    page = browser.new_page()
    page.goto(f'{url}/?q=grey&folder=old')
    expect(page.locator('.score')).to_have_count(2)
    assert page.locator('#q').input_value() == 'grey' and page.locator('#folder').input_value() == 'old'
    page.close()


def test_names_are_text(page):
    ask(page, 'grey')
    page.locator('#folder').select_option('old')
    expect(page.locator('article')).to_have_count(2)
    card = page.locator('article').filter(has_text='alert')
    expect(card.locator('.file')).to_have_text(SHOWN_NAME)
    page.wait_for_function('image => image.complete && image.naturalHeight == 320',
                           arg=card.locator('img').element_handle())


def test_a_file_that_has_gone_says_so(page, gallery, tmp_path):
    clip = gallery.root / 'glyphs' / '3.mp4'
    try:
        clip.rename(tmp_path / '3.mp4')
        ask(page, 'a green square')
        page.locator('footer').scroll_into_view_if_needed()
        card = page.locator('article').filter(has_text='3.mp4').filter(has_text='glyphs')
        expect(card.locator('.mark')).to_have_text('missing')
        card.locator('.play').click()
        expect(card).to_contain_text('cannot be played')
    finally:
        shutil.move(tmp_path / '3.mp4', clip)


def test_filters_ask_again(page):
    ask(page, 'a red circle')
    page.locator('#folder').select_option('old')
    expect(page.locator('article')).to_have_count(2)
    page.locator('#length').select_option('images')
    expect(page.locator('article')).to_have_count(1)
    page.locator('#length').select_option('over 10 min')
    expect(page.locator('#status')).to_have_text('nothing found')
    page.locator('#folder').select_option('all folders')
    page.locator('#length').select_option('any length')
    expect(page.locator('article').nth(11)).to_be_visible()


def test_an_image_and_a_video_are_queries(page, gallery, tmp_path):
    page.locator('#file').set_input_files(write_image(tmp_path / 'mine.png', grey=230))
    expect(page.locator('#status')).to_have_text('like mine.png')
    assert names(page)[0] == f'old/{SHOWN_NAME}'
    expect(page.locator('.score').first).to_have_text('1.000')
    page.locator('#file').set_input_files(gallery.root / 'glyphs' / '5.mp4')
    expect(page.locator('#status')).to_have_text('like 5.mp4')
    assert names(page)[0] == 'glyphs/5.mp4'
    ask(page, 'a red circle')  # takes the place of the file
    expect(page.locator('.weights button').first).to_be_visible()
    assert page.locator('#file').input_value() == ''


@pytest.mark.parametrize('text, answer', [('', 'give one query'), ('   ', 'give one query'),
                                          ('word ' * 200, 'shorten it to about')])
def test_a_text_that_cannot_be_searched(page, text, answer):
    ask(page, text)
    expect(page.locator('#status.wrong')).to_contain_text(answer)


@pytest.mark.parametrize('name, content, says', [
    ('notes.mp4', b'no video', "'notes.mp4' is no video or image that can be read"), ('a.mp4', b'', "'a.mp4' is empty"),
    ('a.txt', b'text', "'a.txt' is no video or image"),
    ('a.mp4', bytes(1_100_000), 'a.mp4 is too large: 1 MB at most')])
def test_an_upload_that_is_refused(page, name, content, says):
    page.locator('#file').set_input_files(dict(name=name, mimeType='video/mp4', buffer=content))
    expect(page.locator('#status.wrong')).to_contain_text(says)


def test_a_phone_in_the_dark(browser, url):
    page = browser.new_page(viewport=dict(width=400, height=800), color_scheme='dark')
    page.goto(url)
    ask(page, 'a red circle')
    assert page.evaluate('document.documentElement.scrollWidth') <= 400
    assert page.locator('article').first.bounding_box()['width'] > 350
    red, green, blue = map(int, re.findall(r'\d+', page.evaluate('getComputedStyle(document.body).backgroundColor')))
    assert max(red, green, blue) < 60
    page.close()


def test_who_asks_before_the_page_has_begun_keeps_what_was_found(browser, url):
    page, held = browser.new_page(), []
    page.route('**/api/health', lambda route: held.append(route))
    page.goto(url)
    ask(page, 'a red circle')
    found = page.locator('article').first.element_handle()
    held[0].continue_()
    page.locator('#about', has_text='searched with').wait_for()
    page.wait_for_load_state('networkidle')
    assert found.evaluate('card => card.isConnected')
    page.close()


def test_the_token_is_asked_for_once(browser, gallery, tmp_path):
    with live(gallery, tmp_path, token='a-secret') as url:
        page = browser.new_context().new_page()
        page.goto(url)
        for given in ('wrong', 'a-secret'):
            page.locator('#token').fill(given)
            page.get_by_role('button', name='Open').click()
        page.locator('article').first.wait_for()
        page.wait_for_function('image => image.complete && image.naturalHeight == 320',
                               arg=page.locator('article img').first.element_handle())
        page.reload()
        page.locator('article').first.wait_for()
        assert not page.locator('#ask_token').is_visible()
        page.close()
