"""A service that runs while a test talks to it."""
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from mmcma.cli.serve import listen
from mmcma.search import Gallery
from mmcma.search.service import make_app


@contextmanager
def live(gallery: Gallery, folder: Path, **settings) -> Iterator[str]:
    """Its address; ``folder`` is an empty one, for what is uploaded and converted."""
    listening = listen('127.0.0.1', 0)
    server = uvicorn.Server(uvicorn.Config(make_app(gallery, folder, **settings), log_level='critical'))
    thread = threading.Thread(target=server.run, kwargs=dict(sockets=[listening]))
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f'http://127.0.0.1:{listening.getsockname()[1]}'
    finally:
        server.should_exit = server.force_exit = True
        thread.join()
        listening.close()
