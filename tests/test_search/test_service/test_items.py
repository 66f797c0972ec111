"""What the service gives of files, and what it keeps to itself."""
import http.client
import io
from itertools import count
from time import monotonic, sleep
from urllib.parse import quote, urlsplit

import av
import httpx
import pytest
from helpers.galleries import StandIn, index
from helpers.media import write_image, write_video
from helpers.server import live
from PIL import Image

from mmcma.search import Gallery
from mmcma.search.service import preview

SECRET = b'nobody shall read this'
#: A name with everything that a page, a log or an address might take for something else.
ODD = 'new\nline\x1b[31m\u202e ${x} <b>"&\'#?%41.png'


@pytest.fixture(scope='module')
def served(tmp_path_factory):
    """A service; its address and the folder it shows."""
    base = tmp_path_factory.mktemp('served')
    root = base / 'root'
    write_video(root / 'sub dir' / 'a#1.mp4', 20, fps=10, paint=lambda number: 10 * number + 20)
    write_video(root / 'b.avi', 20, fps=10, codec='mpeg4', b_frames=0)
    write_image(root / 'c.png', grey=90, size=(640, 480))
    write_image(root / 'd' / ODD, grey=60, size=(640, 480))
    for name in ('gone.png', 'fake.mp4', 'link.png'):
        write_image(root / name) if name.endswith('png') else write_video(root / name, 5)
    index(root, base / 'gallery')
    for name in ('secret.mp4', 'root/.hidden.mp4', 'root/notes.txt', 'root/fake.mp4', 'root/later.mp4'):
        (base / name).write_bytes(SECRET)
    for name in ('gone.png', 'link.png'):
        (root / name).unlink()
    (root / 'link.png').symlink_to(base / 'secret.mp4')
    (base / 'service').mkdir()
    with live(Gallery(base / 'gallery', StandIn()), base / 'service') as url:
        yield url, base


def ask(served, kind: str, path: str, **params) -> httpx.Response:
    return httpx.get(f'{served[0]}/api/items/{kind}', params=dict(path=path, **params))


def test_a_video_is_given_in_parts(served):
    url, base = served
    whole = (base / 'root' / 'sub dir' / 'a#1.mp4').read_bytes()
    answer = ask(served, 'media', 'sub dir/a#1.mp4')
    assert answer.content == whole and answer.headers['content-type'] == 'video/mp4'
    for asked, code, content in (('bytes=10-19', 206, whole[10:20]), ('bytes=-5', 206, whole[-5:]),
                                 (f'bytes={len(whole) - 3}-{len(whole) + 9}', 206, whole[-3:]),
                                 (f'bytes={len(whole)}-', 416, None)):
        part = httpx.get(answer.url, headers=dict(range=asked))
        assert part.status_code == code and content in (None, part.content), asked


def test_what_browsers_do_not_play_is_converted_from_the_moment_on(served):
    for _ in range(2):  # made, and kept
        answer = ask(served, 'preview', 'b.avi', at=1.5)
        assert answer.status_code == 200 and answer.headers['content-type'] == 'video/mp4'
        with av.open(io.BytesIO(answer.content)) as container:
            assert container.streams.video[0].codec_context.name == 'h264'
            assert sum(1 for _ in container.decode(video=0)) == 5
    part = httpx.get(answer.url, headers=dict(range='bytes=4-7'))
    assert part.status_code == 206 and part.content == b'ftyp'


def test_thumbnails(served):
    for path, at, grey in (('c.png', 0, 90), ('sub dir/a#1.mp4', 1, 120), ('sub dir/a#1.mp4', 1.9, 210),
                           ('b.avi', 0, 20),
                           (f'd/{ODD}', 0, 60)):
        image = Image.open(io.BytesIO(ask(served, 'thumbnail', path, at=at).content))
        assert image.format == 'JPEG' and image.size == (427, 320)
        assert image.convert('L').getpixel((200, 100)) == pytest.approx(grey, abs=6)
    assert Image.open(io.BytesIO(ask(served, 'thumbnail', 'c.png', height=48).content)).size == (64, 48)


@pytest.mark.parametrize('path', [
    'secret.mp4', '../secret.mp4', '{base}/secret.mp4', '/{base}/secret.mp4', 'link.png', 'gone.png', '.hidden.mp4',
    'notes.txt', 'later.mp4', 'absent.mp4', '', 'sub dir', 'sub dir/../c.png', 'a\0.mp4', 'x' * 5000 + '.mp4',
    '..\\secret.mp4', "' or '1'='1"])
@pytest.mark.parametrize('kind', ['media', 'thumbnail', 'preview'])
def test_nothing_else_is_given(served, kind, path):
    answer = ask(served, kind, path.format(base=served[1]))
    assert answer.status_code == 404 and set(answer.json()) == {'detail'} and SECRET not in answer.content


@pytest.mark.parametrize('path', ['/../secret.mp4', '/%2e%2e/secret.mp4', '/page.js/../../app.py', '/..%2fapp.py',
                                  '/app.py', '/api.html.j2', '//etc/passwd', '/%2fetc/passwd'])
def test_nor_by_the_pages_own_files(served, path):
    connection = http.client.HTTPConnection(urlsplit(served[0]).netloc)  # asks for exactly this path
    connection.request('GET', path)
    answer = connection.getresponse()
    assert answer.status == 404 and answer.read() == b'{"detail":"Not Found"}'


def test_a_damaged_file_and_a_moment_beyond_the_end(served):
    for kind, path, at in (('thumbnail', 'fake.mp4', 0), ('preview', 'fake.mp4', 0), ('thumbnail', 'b.avi', 99),
                           ('preview', 'b.avi', 99), ('preview', 'c.png', 0)):
        answer = ask(served, kind, path, at=at)
        assert answer.status_code == 415 and answer.json() == dict(detail=f'{path!r} cannot be shown'), (kind, path)


@pytest.mark.parametrize('kind, params, says', [
    ('thumbnail', dict(at='noon'), 'at: '), ('thumbnail', dict(at=-1), 'at: '), ('preview', dict(at='nan'), 'at: '),
    ('thumbnail', dict(height=10**6), 'height: '), ('thumbnail', dict(height=0), 'height: ')])
def test_moments_and_sizes_that_cannot_be(served, kind, params, says):
    answer = ask(served, kind, 'c.png', **params)
    assert answer.status_code == 422 and answer.json()['detail'].startswith(says)


def test_no_path(served):
    answer = httpx.get(f'{served[0]}/api/items/media')
    assert answer.status_code == 422 and answer.json() == dict(detail='path: Field required')


def test_a_sample_of_the_files(served):
    answer = httpx.get(f'{served[0]}/api/items', params=dict(k=3)).json()
    assert answer['files'] == 7 and answer['folders'] == ['d', 'sub dir']
    assert [item['path'] for item in answer['sample']] == ['b.avi', f'd/{ODD}', 'gone.png']
    assert [item['kind'] for item in answer['sample']] == ['video', 'image', 'image']
    assert len(httpx.get(f'{served[0]}/api/items', params=dict(k=999)).json()['sample']) == 7


def test_the_list_of_the_api_names_every_call(served):
    page, schema = httpx.get(f'{served[0]}/docs').text, httpx.get(f'{served[0]}/openapi.json').json()
    assert len(schema['paths']) == 7
    for path in schema['paths']:
        assert quote(path) in page
    assert 'http' not in page.replace('curl', '') and '<script' not in page


def test_whoever_leaves_ends_the_preview(served, monkeypatch, tmp_path):
    """The answer stops where the socket is full, and the work ends once nobody reads."""
    _, base = served
    monkeypatch.setattr(preview, 'convert', lambda path, at: (bytes(2**20) for _ in count()))
    with live(Gallery(base / 'gallery', StandIn()), tmp_path) as url:
        with httpx.stream('GET', f'{url}/api/items/preview', params=dict(path='b.avi')) as answer:
            pieces = answer.iter_raw()  # kept: without it the connection ends
            next(pieces)
            part, = (tmp_path / 'previews').iterdir()
            assert part.stat().st_size < 2**30
        deadline = monotonic() + 20
        while list((tmp_path / 'previews').iterdir()):
            assert monotonic() < deadline
            sleep(0.05)
