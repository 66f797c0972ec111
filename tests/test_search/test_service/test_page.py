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
ODD_NAME = '${alert(1)} {{x}} <b>"&\'#.png'


@pytest.fixture(scope='module')
def gallery(tmp_path_factory):
    """Eight clips of moving glyphs in H.264, one that no browser plays, and an image with an odd name."""
    base = tmp_path_factory.mktemp('page')
    root, recipe = base / 'root', Recipe()
    (root / 'glyphs').mkdir(parents=True)
    for number, scene in enumerate(plan_scenes('test', 8, seed=0)):
        write_clip(root / 'glyphs' / f'{number}.mp4', render_frames(scene, recipe), recipe.fps)
    write_video(root / 'old' / 'grey.avi', 120, fps=10, codec='mpeg4', b_frames=0)
    write_image(root / 'old' / ODD_NAME, grey=140)
    inferencer = RetrievalInferencer(init_model('tiny', device='cpu'))
    index_folder(root, base / 'gallery', inferencer, model='tiny', workers=1)
    return Gallery(base / 'gallery', inferencer)


@pytest.fixture(scope='module')
def url(gallery, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('GRADIO_TEMP_DIR', str(tmp_path_factory.mktemp('uploads')))
        with live(gallery, tmp_path_factory.mktemp('previews'), max_upload=1) as address:
            yield address


@pytest.fixture(scope='module')
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox'])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, url):
    """The page, opened; no request of it may lead elsewhere, and its scripts may not fail."""
    page, requests, errors = browser.new_page(), [], []
    page.on('request', lambda request: requests.append(request.url))
    page.on('pageerror', lambda error: errors.append(str(error)))
    page.goto(url)
    yield page
    assert [request for request in requests if not request.startswith((url, 'data:', 'blob:'))] == errors == []
    page.close()


def ask(page: Page, text: str) -> None:
    query = page.locator('#query').get_by_role('textbox')
    query.fill(text)
    query.press('Enter')


def names(page: Page) -> list[str]:
    """Of the results, as soon as there are some."""
    page.locator('article').first.wait_for()
    return [name.get_attribute('title') for name in page.locator('article .name').all()]


def choose(page: Page, which: str, option: str) -> None:
    page.locator(which).get_by_role('combobox').click()
    page.get_by_role('option', name=option, exact=True).click()


def upload(page: Page, *file) -> None:
    page.locator('#upload input[type=file]').set_input_files(*file)


def play(page: Page, name: str) -> dict:
    """Plays a result from its best frame on; its state when it has come further."""
    card = page.locator('article').filter(has_text=name)
    card.locator('.scale button').click()
    started = float(card.locator('.scale button').get_attribute('data-at'))
    video = card.locator('video').element_handle()
    page.wait_for_function('([video, start]) => video.readyState >= 2 && (video.ended || video.currentTime > start)',
                           arg=[video, started])
    return video.evaluate('video => ({duration: video.duration, width: video.videoWidth, error: video.error})')


def test_a_text_finds_what_the_gallery_finds(page, gallery):
    text = 'a red circle moves to the left'
    expect(page.locator('#found')).to_contain_text('Say what is to be seen')
    ask(page, text)
    hits = gallery.search_text(text, 12)
    assert names(page) == [hit.path.removeprefix(f'{gallery.manifest.root}/') for hit in hits]
    card, hit = page.locator('article').first, hits[0]
    expect(card.locator('.score')).to_have_text(f'{hit.score:.3f}')
    heights = [float(re.search(r'height:([\d.]+)%', bar.get_attribute('style'))[1])
               for bar in card.locator('.weights i').all()]
    assert heights == pytest.approx([100 * weight / max(hit.frame_weights) for weight in hit.frame_weights], abs=0.06)
    assert len(heights) > 1 and card.locator('.best').count() == 1


def test_results_play(page):
    ask(page, 'a blue star')
    assert '0.mp4' in ' '.join(names(page))
    assert play(page, '0.mp4') == dict(duration=pytest.approx(2, abs=0.1), width=64, error=None)
    assert play(page, 'grey.avi') == dict(duration=pytest.approx(12, abs=0.1), width=64, error=None)
    playing = 'videos => videos.filter(video => !video.paused).length'
    assert page.locator('article video').evaluate_all(playing) <= 1  # the first one was stopped


def test_images_are_shown_whatever_they_are_called(page):
    ask(page, 'grey')
    assert f'old/{ODD_NAME}' in names(page)
    card = page.locator('article').filter(has=page.locator('img'))
    expect(card).to_contain_text(ODD_NAME)
    page.wait_for_function('image => image.complete && image.naturalHeight == 320',
                           arg=card.locator('img').element_handle())


def test_a_file_that_has_gone_says_so(page, gallery, tmp_path):
    ask(page, 'a green square')
    names(page)
    clip = Path(gallery.manifest.root, 'glyphs', '3.mp4')
    try:
        clip.rename(tmp_path / '3.mp4')
        page.locator('article').filter(has_text='3.mp4').locator('.scale button').click()
        expect(page.locator('article').filter(has_text='3.mp4')).to_contain_text('cannot be played')
    finally:
        shutil.move(tmp_path / '3.mp4', clip)


def test_filters_ask_again(page):
    ask(page, 'a red circle')
    assert len(names(page)) == 10
    choose(page, '#folder', 'old')
    expect(page.locator('article')).to_have_count(2)
    choose(page, '#length', '10 to 30 s')
    expect(page.locator('article')).to_have_count(1)
    assert names(page) == ['old/grey.avi']
    choose(page, '#length', 'over 10 min')
    expect(page.locator('#found')).to_have_text('nothing found')
    choose(page, '#folder', 'all folders')
    choose(page, '#length', 'images')
    expect(page.locator('article')).to_have_count(1)
    assert names(page) == [f'old/{ODD_NAME}']


def test_an_image_and_a_video_are_queries(page, gallery):
    ask(page, 'a red circle')
    names(page)
    image = write_image(gallery.folder / 'mine.png', grey=140)
    upload(page, image)
    expect(page.locator('#query').get_by_role('textbox')).to_have_value('')
    assert names(page)[0] == f'old/{ODD_NAME}'
    expect(page.locator('.score').first).to_have_text('1.000')
    expect(page.locator('.weights')).to_have_count(0)  # no text weighs the frames
    ask(page, 'a red circle')  # takes the place of the image
    expect(page.locator('#upload')).not_to_contain_text('mine')
    page.locator('.weights').first.wait_for()
    upload(page, f'{gallery.manifest.root}/glyphs/5.mp4')
    expect(page.locator('.weights')).to_have_count(0)
    assert names(page)[0] == 'glyphs/5.mp4'


@pytest.mark.parametrize('text, answer', [('', 'the query is empty'), ('   ', 'the query is empty'),
                                          ('word ' * 200, 'shorten it to about')])
def test_a_text_that_cannot_be_searched(page, text, answer):
    ask(page, text)
    expect(page.locator('#found .wrong')).to_contain_text(answer)


@pytest.mark.parametrize('name', ['notes.mp4', 'notes.png'])
def test_an_upload_that_is_no_video(page, name):
    upload(page, dict(name=name, mimeType='video/mp4', buffer=b'no video'))
    expect(page.locator('#found .wrong')).to_have_text(f'{name} is no video or image that can be read')


def test_an_upload_that_is_too_large(page):
    upload(page, dict(name='a.mp4', mimeType='video/mp4', buffer=bytes(1_100_000)))
    expect(page.get_by_text('exceed the maximum allowed size of 1.0 Mb: "a.mp4"')).to_be_visible()
    assert page.locator('article').count() == 0


def test_a_phone(browser, url):
    page = browser.new_page(viewport=dict(width=400, height=800))
    page.goto(url)
    ask(page, 'a red circle')
    names(page)
    assert page.evaluate('document.documentElement.scrollWidth') <= 400
    assert page.locator('article').first.bounding_box()['width'] > 350
    page.close()
