"""What the server gives over HTTP, and what it keeps to itself."""
import http.client
import io
import json
from urllib.parse import urlsplit

import httpx
import pytest
from helpers.galleries import StandIn, index
from helpers.media import write_image, write_video
from helpers.server import live
from PIL import Image

from mmcma.search import Gallery

SECRET = b'nobody shall read this'


@pytest.fixture(scope='module')
def served(tmp_path_factory):
    """A server with a limit of 1 MB for uploads; its address and the folder it shows."""
    base = tmp_path_factory.mktemp('served')
    root = base / 'root'
    write_video(root / 'sub dir' / 'a#1.mp4', 20, fps=10, paint=lambda number: 10 * number + 20)
    write_video(root / 'b.avi', 20, fps=10, codec='mpeg4', b_frames=0)
    write_image(root / 'c.png', grey=90, size=(640, 480))
    index(root, base / 'gallery')
    for name in ('secret.mp4', 'root/.hidden.mp4', 'root/notes.txt', 'root/fake.mp4', 'root/.git/a.mp4'):
        (base / name).parent.mkdir(exist_ok=True)
        (base / name).write_bytes(SECRET)
    (root / 'link.mp4').symlink_to(base / 'secret.mp4')
    (root / 'folder').symlink_to(base)
    (base / 'previews').mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('GRADIO_TEMP_DIR', str(base / 'uploads'))
        with live(Gallery(base / 'gallery', StandIn()), base / 'previews', max_upload=1) as url:
            yield url, base


def raw(url: str, path: str, host: str = 'localhost') -> tuple[int, bytes]:
    """Asks for exactly this path; clients tidy up what is odd about it."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    connection.putrequest('GET', path, skip_host=True)
    connection.putheader('Host', host)
    connection.endheaders()
    response = connection.getresponse()
    return response.status, response.read()


def test_a_video_is_given_in_parts(served):
    url, base = served
    whole = (base / 'root' / 'sub dir' / 'a#1.mp4').read_bytes()
    address = f'{url}/media/sub%20dir/a%231.mp4'
    answer = httpx.get(address)
    assert answer.content == whole and answer.headers['content-type'] == 'video/mp4'
    part = httpx.get(address, headers=dict(range='bytes=10-19'))
    assert part.status_code == 206 and part.content == whole[10:20]


def test_what_browsers_do_not_play_is_converted(served):
    url, base = served
    answer = httpx.get(f'{url}/media/b.avi')
    assert answer.headers['content-type'] == 'video/mp4' and answer.content[4:8] == b'ftyp'
    assert (base / 'root' / 'b.avi').read_bytes()[:4] == b'RIFF'


def test_thumbnails(served):
    url, _ = served
    for path, size, grey in (('c.png', (427, 320), 90), ('sub%20dir/a%231.mp4?at=1.0', (427, 320), 120),
                             ('b.avi', (427, 320), 20)):
        answer = httpx.get(f'{url}/thumbnail/{path}')
        image = Image.open(io.BytesIO(answer.content))
        assert image.format == 'JPEG' and image.size == size
        assert image.convert('L').getpixel((200, 100)) == pytest.approx(grey, abs=6)
    assert httpx.get(f'{url}/thumbnail/c.png?at=noon').status_code == 422


@pytest.mark.parametrize('path', [
    'secret.mp4', '../secret.mp4', '..%2fsecret.mp4', '%2e%2e/secret.mp4', 'sub%20dir/../../secret.mp4',
    '{base}/secret.mp4', '%2f{base}/secret.mp4', 'link.mp4', 'folder/secret.mp4', '.hidden.mp4', '.git/a.mp4',
    'notes.txt', 'absent.mp4', '', 'sub%20dir', 'a%00.mp4', 'x' * 5000 + '.mp4', '..%5csecret.mp4'])
@pytest.mark.parametrize('route', ['media', 'thumbnail'])
def test_nothing_else_is_given(served, route, path):
    url, base = served
    status, content = raw(url, f'/{route}/' + path.format(base=base))
    assert status == 404 and SECRET not in content


def test_a_damaged_file_is_not_given(served):
    url, _ = served
    assert raw(url, '/media/fake.mp4') == (415, b'{"detail":"fake.mp4 cannot be shown"}')
    assert raw(url, '/thumbnail/fake.mp4')[0] == 415


@pytest.mark.parametrize('path', ['/gradio_api/file={base}/secret.mp4', '/gradio_api/file={base}/root/c.png',
                                  '/file={base}/secret.mp4', '/gradio_api/file=../secret.mp4', '/secret.mp4',
                                  '/gradio_api/file={base}/gallery/lock', '/../secret.mp4'])
def test_nor_does_gradio_give_files(served, path):
    url, base = served
    status, content = raw(url, path.format(base=base))
    assert status in (403, 404) and SECRET not in content and b'fingerprint' not in content


def ask(url: str, upload: object) -> str:
    """What the page's server says to an upload, as the script of the page would send it."""
    config = httpx.get(f'{url}/config').json()
    event = next(number for number, entry in enumerate(config['dependencies'])
                 if any(kind == 'upload' for _, kind in entry['targets']))
    query = dict(data=[upload, '', 'any length'], fn_index=event, session_hash='s')
    httpx.post(f'{url}/gradio_api/queue/join', json=query).raise_for_status()
    with httpx.stream('GET', f'{url}/gradio_api/queue/data?session_hash=s') as answer:
        for line in answer.iter_lines():
            if '"process_completed"' in line:
                return json.dumps(json.loads(line.removeprefix('data: '))['output'])
    raise AssertionError('no answer')


def upload(url: str, name: str, data: bytes) -> httpx.Response:
    return httpx.post(f'{url}/gradio_api/upload', files=dict(files=(name, data)))


def test_only_what_was_uploaded_is_a_query(served):
    url, base = served
    image = base / 'root' / 'c.png'
    path, = upload(url, 'grey.png', image.read_bytes()).json()
    assert 'media/c.png' in ask(url, dict(path=path, meta=dict(_type='gradio.FileData')))
    for path in (image, base / 'secret.mp4', '/etc/passwd'):
        for entry in (dict(path=str(path), meta=dict(_type='gradio.FileData')), dict(path=str(path)), str(path)):
            assert 'article' not in ask(url, entry), entry


def test_uploads_are_limited(served):
    url, _ = served
    assert upload(url, 'a.mp4', bytes(900_000)).status_code == 200
    answer = upload(url, 'a.mp4', bytes(1_100_000))
    assert answer.status_code == 413 and 'maximum allowed size' in answer.text


def test_only_by_a_name_of_this_machine(served):
    url, _ = served
    assert raw(url, '/media/c.png', host='localhost:1')[0] == raw(url, '/media/c.png', host='[::1]:1')[0] == 200
    assert raw(url, '/media/c.png', host='somewhere.else')[0] == 400


def test_the_page_may_ask_no_other_server(served):
    url, _ = served
    for path in ('/', '/config', '/media/c.png', '/absent'):
        assert "default-src 'self' " in httpx.get(url + path).headers['content-security-policy']
