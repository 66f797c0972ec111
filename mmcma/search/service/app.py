"""The server's application: the page and the files that it shows."""
from pathlib import Path

import gradio as gr
from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mmcma.search import Gallery
from mmcma.search.service.media import media_routes
from mmcma.search.service.page import make_page
from mmcma.search.service.preview import Previews

_FOLDER = Path(__file__).parent
#: Nothing is asked of any other server, whatever Gradio's templates name.
_POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'self'"
#: Names of this machine.
LOOPBACK = ('localhost', '127.0.0.1', '::1')


def make_app(gallery: Gallery, previews: Path, *, results: int = 12, max_upload: int = 100,
             local: bool = True) -> FastAPI:
    """The application, to be run by one process.

    Args:
        gallery: An open one, with its model.
        previews: An empty folder for what is converted.
        results: How many to show.
        max_upload: Megabytes that an uploaded file may have.
        local: Whether it answers this machine only. Then requests that came by another name are refused: a page
            elsewhere could have made its own name lead here.
    """
    app = FastAPI(openapi_url=None)
    app.add_middleware(_Policy)
    if local:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, '[::1]'])
    app.include_router(media_routes(gallery, Previews(previews)))
    theme = gr.themes.Default(primary_hue='green', neutral_hue='slate', font=['system-ui', 'sans-serif'],
                              font_mono=['ui-monospace', 'monospace'])
    theme.set(button_primary_background_fill='#2f9e55', button_primary_background_fill_hover='#27864a',
              button_primary_text_color='white', body_text_color_subdued='*neutral_500')
    script = (_FOLDER / 'script.js').read_text()
    page = make_page(gallery, results)
    page.has_launched = True  # until then Gradio lets a request name any file as its upload, and mounting is no launch
    return gr.mount_gradio_app(app, page, '/', footer_links=[], ssr_mode=False, theme=theme,
                               css=(_FOLDER / 'style.css').read_text(), head=f'<script>\n{script}</script>',
                               max_file_size=f'{max_upload}mb')


class _Policy:
    """Adds the policy to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_policy(message: Message) -> None:
            if message['type'] == 'http.response.start':
                MutableHeaders(scope=message)['Content-Security-Policy'] = _POLICY
            await send(message)
        await self.app(scope, receive, with_policy)
