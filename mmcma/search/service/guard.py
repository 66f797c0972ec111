"""Who may ask the service, and what its answers forbid a browser."""
import re
from collections.abc import Collection
from hmac import compare_digest

from fastapi import HTTPException
from fastapi.requests import HTTPConnection
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: The cookie of a browser that has shown the token.
COOKIE = 'mmcma_session'
#: With every answer. Nothing is asked of another server, and none may show what this one gives.
HEADERS = {
    'Content-Security-Policy': "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
                               "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
                               "frame-ancestors 'none'",
    'Cross-Origin-Resource-Policy': 'same-origin', 'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff'}
#: Bytes of a request beside the file that is uploaded.
_ROOM = 64 * 1024
_HOST = re.compile(r'(\[[^\]]*\]|[^:]*)(:\d+)?')


class Guard:
    """Refuses requests by another name than the service's own, from other pages, without its token, or too large.

    Args:
        app: What answers the others.
        hosts: Names by which it may be asked; empty for any.
        token: What a request has to bring as ``Authorization: Bearer …``; None for nothing.
        session: What a browser brings in place of it, as the cookie ``COOKIE``.
        public: Paths that need no token.
        max_bytes: Of an uploaded file.
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str], token: str | None, session: str,
                 public: Collection[str], max_bytes: int) -> None:
        self.app, self.hosts, self.token, self.session = app, hosts, token, session
        self.public, self.max_bytes = public, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message['type'] == 'http.response.start':
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)
        if scope['type'] != 'http':
            return await self.app(scope, receive, send)
        try:
            self._check(HTTPConnection(scope))
            answer = self.app
        except HTTPException as refusal:
            answer = JSONResponse({'detail': refusal.detail}, refusal.status_code, refusal.headers)
        await answer(scope, self._limited(receive), send_with_headers)

    def _check(self, request: HTTPConnection) -> None:
        headers = request.headers
        host = _HOST.fullmatch(headers.get('host', ''))
        if self.hosts and (host is None or host[1].lower() not in self.hosts):
            raise HTTPException(400, f'this service is not asked as {headers.get("host", "")!r}')
        origin = headers.get('origin')
        if origin is not None and origin.partition('://')[2] != headers.get('host'):
            raise HTTPException(403, f'pages of {origin} may not ask this service')
        if request.scope['path'] not in self.public and not self._knows_token(request):
            raise HTTPException(401, 'the token is missing or wrong: send "Authorization: Bearer TOKEN"',
                                {'WWW-Authenticate': 'Bearer'})
        self._check_size(headers)

    def _knows_token(self, request: HTTPConnection) -> bool:
        if self.token is None:
            return True
        scheme, _, given = request.headers.get('authorization', '').partition(' ')
        return (scheme.lower() == 'bearer' and _equal(given.strip(), self.token)
                or _equal(request.cookies.get(COOKIE, ''), self.session))

    def _check_size(self, headers: Headers) -> None:
        length = headers.get('content-length', '0')
        if not length.isdecimal() or int(length) > self.max_bytes + _ROOM:
            raise self._too_large()

    def _too_large(self) -> HTTPException:
        return HTTPException(413, f'the file is too large: at most {self.max_bytes / 1e6:g} MB are taken')

    def _limited(self, receive: Receive) -> Receive:
        """The same for a request that does not say how long it is."""
        taken = 0

        async def receive_limited() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get('body', b''))
            if taken > self.max_bytes + _ROOM:
                raise self._too_large()
            return message
        return receive_limited


def _equal(given: str, expected: str) -> bool:
    """In constant time, so that nobody learns from it how much was right."""
    return compare_digest(given.encode(errors='replace'), expected.encode())
