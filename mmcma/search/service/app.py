"""The service's application: the API, the page, and a list of the API for people."""
from pathlib import Path
from secrets import token_urlsafe

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

from mmcma import __version__
from mmcma.search import Gallery
from mmcma.search.service.freshness import Freshness
from mmcma.search.service.guard import COOKIE, Guard
from mmcma.search.service.items import item_routes
from mmcma.search.service.preview import Previews
from mmcma.search.service.queries import query_routes
from mmcma.utils.errors import ConfigError, UserError, one_short_line
from mmcma.visualization.page import render

_PAGE = Path(__file__).parent / 'page'
#: What says nothing of the gallery, and is given without a token.
_PUBLIC = ('/', '/docs', '/openapi.json', *(f'/{file.name}' for file in _PAGE.iterdir()))


def make_app(gallery: Gallery, folder: Path, *, token: str | None = None, hosts: tuple[str, ...] = (),
             max_upload: int = 100) -> FastAPI:
    """The application, to be run by one process.

    Args:
        gallery: An open one, with its model.
        folder: An empty one, for what is uploaded and converted.
        token: What requests have to bring; None for nothing.
        hosts: The names by which it may be asked, empty for any: a page elsewhere could make its own name lead here.
        max_upload: Megabytes that an uploaded file may have.
    """
    app = FastAPI(title='mmcma', version=__version__, docs_url=None, redoc_url=None, description='Searches a gallery '
                  'of videos and images. An error is {"detail": "…"}.')
    session = token_urlsafe(32)
    app.add_middleware(Guard, hosts=hosts, token=token, session=session, public=_PUBLIC, max_bytes=max_upload * 10**6)
    for kind in (RequestValidationError, UserError, Exception):
        app.add_exception_handler(kind, _one_line)
    (folder / 'previews').mkdir()
    fresh = Freshness(gallery)
    app.include_router(query_routes(gallery, fresh, folder))
    app.include_router(item_routes(gallery, fresh, Previews(folder / 'previews')))

    @app.get('/api/health', dependencies=[Depends(fresh)])
    def health() -> dict:
        """Whether it answers; what is searched, and with which model."""
        return dict(status='ok', name=gallery.root.name, model=Path(gallery.manifest.model).stem, files=len(gallery),
                    max_upload=max_upload * 10**6)

    @app.post('/api/session', status_code=204)
    def session_of_browser(response: Response) -> None:
        """Gives a browser that brings the token a cookie in place of it, until the service ends."""
        response.set_cookie(COOKIE, session, httponly=True, samesite='strict')

    @app.get('/docs', include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(render('api.html.j2', folder=Path(__file__).parent, api=app.openapi()))
    app.mount('/', StaticFiles(directory=_PAGE, html=True))
    return app


def _one_line(_: Request, error: Exception) -> JSONResponse:
    """What is wrong with a request, or with the gallery; of anything else the server's log has the traceback."""
    detail, code = 'the service failed; its log says why', 500
    if isinstance(error, RequestValidationError):
        detail = '; '.join(f'{".".join(map(str, fault["loc"][1:]))}: {fault["msg"]}' for fault in error.errors())
        code = 422
    elif isinstance(error, UserError):
        detail, code = str(error), 422 if isinstance(error, ConfigError) else 500
    return JSONResponse({'detail': one_short_line(detail)}, code)
