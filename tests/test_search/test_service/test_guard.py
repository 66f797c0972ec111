"""Who may ask the service."""

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from mmcma.search.service.guard import COOKIE, HEADERS, Guard

TOKEN = 'a-secret'


def client(**settings) -> TestClient:
    app = FastAPI()

    @app.get('/{path:path}')
    def get() -> str:
        return 'given'

    @app.post('/{path:path}')
    async def post(request: Request) -> int:
        return len(await request.body())
    app.add_middleware(Guard, **dict(dict(hosts=(), token=None, session='of-a-browser', public=('/',),
                                          max_bytes=1000), **settings))
    return TestClient(app, base_url='http://localhost:7860')


@pytest.mark.parametrize('headers, code', [
    ({}, 401), ({'authorization': f'Bearer {TOKEN}'}, 200), ({'authorization': f'bearer  {TOKEN}'}, 200),
    ({'authorization': 'Bearer wrong'}, 401), ({'authorization': f'Bearer {TOKEN}x'}, 401),
    ({'authorization': TOKEN}, 401), ({'authorization': f'Basic {TOKEN}'}, 401), ({'authorization': 'Bearer'}, 401),
    ({'authorization': 'Bearer tökén'.encode()}, 401), ({'cookie': f'{COOKIE}=of-a-browser'}, 200),
    ({'cookie': f'{COOKIE}={TOKEN}'}, 401), ({'cookie': f'{COOKIE}='}, 401)])
def test_the_token(headers, code):
    asked = client(token=TOKEN)
    for path in ('/api/search', '/else', '/api'):
        assert asked.get(path, headers=headers).status_code == code, path
    assert asked.get('/', headers=headers).status_code == 200
    if code == 401:
        answer = asked.get('/api/search', headers=headers)
        assert 'token is missing or wrong' in answer.json()['detail'] and answer.headers['www-authenticate'] == 'Bearer'
        assert TOKEN not in answer.text


def test_the_token_is_compared_in_constant_time(monkeypatch):
    compared = []
    monkeypatch.setattr('mmcma.search.service.guard.compare_digest', lambda *both: compared.append(both) or False)
    assert client(token=TOKEN).get('/api', headers={'authorization': 'Bearer x'}).status_code == 401
    assert (b'x', TOKEN.encode()) in compared


@pytest.mark.parametrize('host, code', [
    ('localhost', 200), ('LOCALHOST:80', 200), ('127.0.0.1:7860', 200), ('[::1]:7860', 200), ('somewhere.else', 400),
    ('localhost.somewhere.else', 400), ('', 400), ('[::1', 400), ('localhost:80:80', 400), ('127.0.0.1.', 400)])
def test_only_by_its_own_names(host, code):
    answer = client(hosts=('localhost', '127.0.0.1', '[::1]')).get('/api', headers=dict(host=host))
    assert answer.status_code == code
    assert client().get('/api', headers=dict(host=host)).status_code == 200


@pytest.mark.parametrize('origin, code', [
    ('http://localhost:7860', 200), ('http://localhost:7861', 403), ('https://somewhere.else', 403), ('null', 403)])
def test_not_for_other_pages(origin, code):
    assert client().post('/api', headers=dict(origin=origin)).status_code == code


@pytest.mark.parametrize('length, code', [('66000', 200), ('67000', 413), ('-1', 413), ('many', 413)])
def test_the_size_of_a_request(length, code):
    size = int(length) if length.isdecimal() else 0
    assert client().post('/api', content=bytes(size), headers={'content-length': length}).status_code == code


def test_every_answer_tells_the_browser_what_it_may():
    for path, headers in (('/', {}), ('/api', {}), ('/api', dict(origin='null'))):
        answer = client(token=TOKEN).get(path, headers=headers)
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert "default-src 'none'" in HEADERS['Content-Security-Policy'] and 'http' not in ''.join(HEADERS.values())
    assert 'unsafe' not in HEADERS['Content-Security-Policy']


def test_a_browser_that_brings_the_token_gets_a_cookie(tmp_path):
    from types import SimpleNamespace

    from mmcma.search.service import make_app
    app = make_app(SimpleNamespace(inferencer=None), tmp_path, token=TOKEN)
    browser = TestClient(app)
    assert browser.post('/api/session').status_code == 401 and browser.get('/api/nothing').status_code == 401
    for path in ('/', '/page.js', '/page.css', '/docs', '/openapi.json'):
        assert browser.get(path).status_code == 200
    answer = browser.post('/api/session', headers=dict(authorization=f'Bearer {TOKEN}'))
    assert answer.status_code == 204 and TOKEN not in answer.headers['set-cookie']
    assert 'HttpOnly' in answer.headers['set-cookie'] and 'SameSite=strict' in answer.headers['set-cookie']
    assert browser.get('/api/nothing').status_code == 404  # the cookie does
