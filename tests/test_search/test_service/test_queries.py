"""The queries of the API: what it finds is what the gallery finds."""
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from fastapi.testclient import TestClient
from helpers.galleries import StandIn, index, write_folder
from helpers.media import write_image

from mmcma.search import Gallery
from mmcma.search.service import freshness, make_app
from mmcma.search.service.text_encoder import TextEncoder
from mmcma.structures import Features
from mmcma.utils.errors import DataError


@pytest.fixture(scope='module')
def gallery(tmp_path_factory):
    """Images of greys 0, 20, … 240 and two videos."""
    folder = write_folder(tmp_path_factory.mktemp('media') / 'root', images=13)
    path = tmp_path_factory.mktemp('gallery')
    index(folder, path)
    return Gallery(path, StandIn())


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('service')


@pytest.fixture(scope='module')
def client(gallery, folder):
    return TestClient(make_app(gallery, folder, max_upload=1), raise_server_exceptions=False)


def found(answer) -> list[tuple[str, float]]:
    assert answer.status_code == 200, answer.text
    return [(hit['path'], hit['score']) for hit in answer.json()['hits']]


def expected(gallery, hits) -> list[tuple[str, float]]:
    return [(Path(hit.path).relative_to(gallery.root).as_posix(), hit.score) for hit in hits]


def test_a_text_finds_what_the_gallery_finds(client, gallery):
    answer = client.get('/api/search', params=dict(q='100', k=4))
    assert found(answer) == expected(gallery, gallery.search_text('100', 4))
    video = next(hit for hit in answer.json()['hits'] if hit['kind'] == 'video')
    hit = next(hit for hit in gallery.search_text('100', 4) if hit.path.endswith(video['path']))
    assert video == hit._asdict() | dict(path=video['path'], kind='video', best_moment=hit.best_moment)
    assert video['duration'] == video['end'] in (1.0, 1.5)


def test_filters(client, gallery):
    for params, kinds in ((dict(folder='images'), {'image'}), (dict(folder='/images/'), {'image'}),
                          (dict(min_seconds=0.5), {'video'}), (dict(max_seconds=0), {'image'}),
                          (dict(min_seconds=1.2, max_seconds=2), {'video'})):
        hits = client.get('/api/search', params=dict(q='100', k=20) | params).json()['hits']
        assert {hit['kind'] for hit in hits} == kinds, params
    files = [hit['path'] for hit in client.get('/api/search', params=dict(q='100', k=20, per_file=1)).json()['hits']]
    assert len(files) == len(set(files)) == len(gallery)
    assert len(client.get('/api/search', params=dict(q='100', min_seconds=1.2, max_seconds=2)).json()['hits']) == 1
    for folder in ('elsewhere', str(gallery.root), "' or '1'='1", 'a\0b', 'images\n'):
        assert found(client.get('/api/search', params=dict(q='100', folder=folder))) == [], folder


def test_pages_are_the_whole_in_parts(client, gallery):
    whole, pages, offset = expected(gallery, gallery.search_text('100', 15)), [], 0
    while offset is not None:
        answer = client.get('/api/search', params=dict(q='100', k=4, offset=offset))
        pages, offset = pages + found(answer), answer.json()['next']
    assert pages == whole and len(pages) == 15


def test_like_a_moment_of_the_gallery(client, gallery):
    answer = found(client.get('/api/search', params=dict(like='images/5.png', k=3)))
    whole = expected(gallery, gallery.search_path(gallery.file('images/5.png'), 3))
    assert [path for path, _ in answer] == [path for path, _ in whole]
    assert [score for _, score in answer] == pytest.approx([score for _, score in whole], abs=1e-3)  # stored in fp16
    assert found(client.get('/api/search', params=dict(like='v1.mp4', at=0.4, k=1)))[0][0] == 'v1.mp4'


def test_like_an_upload_which_is_deleted(client, gallery, folder, tmp_path):
    image = write_image(tmp_path / 'mine.png', grey=101)
    answer = client.post('/api/search', params=dict(k=3), files=dict(file=('mine.png', image.read_bytes())))
    assert found(answer) == expected(gallery, gallery.search_path(image, 3))
    assert [path.name for path in folder.rglob('*')] == ['previews']


@pytest.mark.parametrize('name, content, code, says', [
    ('a.txt', b'text', 415, "'a.txt' is no video or image; its name must end in .mp4"),
    ('', b'text', 422, 'file: '), ('a.png', b'', 422, "'a.png' is empty"),
    ('a.png', b'no image', 422, "'a.png' is no video or image that can be read"),
    ('a.mp4', b'#EXTM3U\nfile:///etc/passwd', 422, "'a.mp4' is no video or image that can be read"),
    ('../../a.png', b'', 422, "'a.png' is empty"), ('a.png', bytes(1_200_000), 413, 'at most 1 MB are taken')])
def test_uploads_that_are_refused(client, folder, monkeypatch, gallery, name, content, code, says):
    from mmcma.apis.media import MediaPaths, frame_pipeline

    def encode_visual(paths):
        clip = MediaPaths(paths, frame_pipeline(gallery.inferencer.model.cfg))[0]
        raise clip
    monkeypatch.setattr(gallery.inferencer, 'encode_visual', encode_visual)
    answer = client.post('/api/search', files=dict(file=(name, content)))
    assert answer.status_code == code and says in answer.json()['detail'] and str(folder) not in answer.text
    assert [path.name for path in folder.rglob('*')] == ['previews']


def test_an_upload_that_does_not_say_how_large_it_is(client):
    def body():
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
        for _ in range(20):
            yield bytes(100_000)
    answer = client.post('/api/search', content=body(), headers={'content-type': 'multipart/form-data; boundary=b'})
    assert answer.status_code == 413 and 'too large' in answer.json()['detail']


@pytest.mark.parametrize('params, code, says', [
    (dict(), 422, 'give one query'), (dict(q=' '), 422, 'give one query'),
    (dict(q='1', like='v0.mp4'), 422, 'one query'),
    (dict(q='word ' * 9), 422, 'shorten it to about'), (dict(q='1\0'), 422, 'NUL'),
    (dict(q='1', k=0), 422, 'k: '), (dict(q='1', k='many'), 422, 'k: '), (dict(q='1', k=10**9), 422, 'k: '),
    (dict(q='1', offset=-1), 422, 'offset: '), (dict(q='1', rerank=-1), 422, 'rerank: '),
    (dict(q='1', folder='a/../..'), 422, 'leads out of the gallery'), (dict(q='1', per_file=0), 422, 'per_file: '),
    (dict(q='1', min_seconds='nan'), 422, 'min_seconds: '),
    (dict(q='1', max_seconds='inf'), 422, 'max_seconds: '),
    (dict(q='1', min_seconds=9, max_seconds=2), 422, 'no length'),
    (dict(q='1', min_second=1), 422, 'min_second: '), (dict(like='absent.mp4'), 404, "no 'absent.mp4'"),
    (dict(like='../root/v0.mp4'), 404, 'the gallery has no'), (dict(like="x' or path != '"), 404, 'the gallery has no'),
    (dict(like='v0.mp4', at=-1), 422, 'at: '), (dict(like='a\0b'), 404, 'the gallery has no')])
def test_requests_that_are_refused(client, params, code, says):
    answer = client.get('/api/search', params=params)
    assert answer.status_code == code and says in answer.json()['detail'] and '\n' not in answer.json()['detail']


def test_other_methods_and_other_places(client):
    assert client.delete('/api/search').status_code == 405 and client.get('/api/nothing').status_code == 404
    assert set(client.get('/api/nothing').json()) == set(client.delete('/api/search').json()) == {'detail'}


def test_what_is_wrong_with_the_gallery_or_the_service_is_no_fault_of_the_request(client, gallery, monkeypatch):
    for error, says in ((DataError('moments: damaged\nfile'), 'moments: damaged file'),
                        (KeyError(1), 'its log says why')):
        def search_features(*_, error=error, **__):
            raise error
        monkeypatch.setattr(gallery, 'search_features', search_features)
        answer = client.get('/api/search', params=dict(q='100'))
        assert answer.status_code == 500 and says in answer.json()['detail']


@pytest.mark.parametrize('files', [
    lambda client: len(found(client.get('/api/search', params=dict(q='200')))),
    lambda client: client.get('/api/health').json()['files'], lambda client: client.get('/api/items').json()['files']])
def test_new_moments_are_taken_up(tmp_path, monkeypatch, files):
    root = write_folder(tmp_path / 'root', images=2, videos=0)
    index(root, tmp_path / 'gallery')
    (tmp_path / 'service').mkdir()
    client = TestClient(make_app(Gallery(tmp_path / 'gallery', StandIn()), tmp_path / 'service'))
    assert files(client) == 2
    write_image(root / 'new.png', grey=200)
    index(root, tmp_path / 'gallery')
    assert files(client) == 2  # looked a moment ago
    monkeypatch.setattr(freshness.time, 'monotonic', lambda: 1e9)
    assert files(client) == 3
    assert found(client.get('/api/search', params=dict(q='200')))[0][0] == 'new.png'


class Counting:
    """Encodes a text as its length and the number of the pass; the first pass waits to be released."""

    def __init__(self) -> None:
        self.passes, self.released = [], threading.Event()
        self.model = StandIn().model

    def encode_text(self, texts: list[str]) -> Features:
        self.passes.append(texts)
        if len(self.passes) == 1:
            assert self.released.wait(10)
        if 'wrong' in texts:
            raise ValueError('wrong')
        return Features(torch.tensor([[len(text), len(self.passes)] for text in texts], dtype=torch.float32))


def test_texts_that_come_during_a_pass_go_together_in_the_next():
    inferencer = Counting()
    encode, texts = TextEncoder(inferencer), ['x' * length for length in range(1, 21)]
    with ThreadPoolExecutor(41) as pool:
        first = pool.submit(encode, 'first')
        while not inferencer.passes:
            pass
        waiting = [pool.submit(encode, text) for text in texts * 2]
        while len(encode._waiting) < 20:
            pass
        inferencer.released.set()
        rows = [future.result().pooled[0].tolist() for future in waiting]
    assert first.result().pooled.tolist() == [[5, 1]]
    assert inferencer.passes[0] == ['first'] and sorted(inferencer.passes[1]) == texts and len(inferencer.passes) == 2
    assert rows == [[len(text), 2] for text in texts * 2]
    assert encode('xx').pooled.tolist() == [[2, 2]] and len(inferencer.passes) == 2  # remembered, to the last bit


def test_a_text_that_is_too_long_spoils_no_other():
    """Its check is part of the pass: a tokenizer that counts must not be made to pad by another thread meanwhile."""
    inferencer = Counting()
    encode = TextEncoder(inferencer)
    with ThreadPoolExecutor(3) as pool:
        pool.submit(encode, 'first')
        while not inferencer.passes:
            pass
        long, good = pool.submit(encode, 'word ' * 9), pool.submit(encode, 'good')
        while len(encode._waiting) < 2:
            pass
        inferencer.released.set()
        with pytest.raises(DataError, match='shorten it'):
            long.result()
    assert good.result().pooled.tolist() == [[4, 2]] and inferencer.passes == [['first'], ['good']]
    with pytest.raises(DataError, match='shorten it'):
        encode('word ' * 9)


def test_a_pass_that_fails_is_not_remembered():
    inferencer = Counting()
    inferencer.released.set()
    encode = TextEncoder(inferencer)
    for _ in range(2):
        with pytest.raises(ValueError, match='wrong'):
            encode('wrong')
    assert len(inferencer.passes) == 2 and encode('right').pooled.tolist() == [[5, 3]]


def test_only_so_many_texts_are_remembered(monkeypatch):
    from mmcma.search.service import text_encoder
    monkeypatch.setattr(text_encoder, 'REMEMBERED', 2)
    inferencer = Counting()
    inferencer.released.set()
    encode = TextEncoder(inferencer)
    for text in ('a', 'b', 'a', 'c', 'a', 'b'):
        encode(text)
    assert inferencer.passes == [['a'], ['b'], ['c'], ['b']]
