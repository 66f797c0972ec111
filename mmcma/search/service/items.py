"""What the service gives of a gallery's files: as they are, as small images, and as videos that browsers play."""
from bisect import bisect_left
from collections.abc import Generator
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Annotated

import torch
from fastapi import APIRouter, Depends, HTTPException, Query
from fastapi.responses import FileResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from mmcma.apis.media import is_image
from mmcma.search import Gallery
from mmcma.search.service.freshness import Freshness
from mmcma.search.service.preview import Previews, frame_from
from mmcma.utils.errors import DataError, MediaError
from mmcma.utils.images import film_strip, read_image

#: Folders that are listed at most.
MOST_FOLDERS = 1000

_KEPT = {'Cache-Control': 'private, max-age=3600'}
_Path = Annotated[str, Query(description="of a file of the gallery, relative to the gallery's root")]
_Seconds = Annotated[float, Query(ge=0, allow_inf_nan=False, description='the moment, in seconds')]


def item_routes(gallery: Gallery, fresh: Freshness, previews: Previews) -> APIRouter:
    """``/api/items`` and below it. Paths are parameters: a name may hold a newline, or what a proxy would tidy up."""
    router = APIRouter(prefix='/api/items')

    @router.get('', dependencies=[Depends(fresh)])
    def items(k: Annotated[int, Query(ge=1, le=1000, description='how many')] = 12) -> dict:
        """How many files there are, a sample of them, evenly spaced in the order of their paths, and their folders."""
        paths = gallery.paths()
        sample = [paths[place * len(paths) // min(k, len(paths))] for place in range(min(k, len(paths)))]
        folders = {folder.as_posix() for path in paths for folder in PurePosixPath(path).parents} - {'.'}
        return dict(files=len(paths), folders=sorted(folders)[:MOST_FOLDERS],
                    sample=[dict(path=path, kind='image' if is_image(path) else 'video') for path in sample])

    @router.get('/media', response_class=FileResponse)
    def media(path: _Path) -> FileResponse:
        """A file as it is; in parts, where Range asks for some."""
        return FileResponse(shown_file(gallery, path))

    @router.get('/thumbnail', response_class=Response, responses={200: {'content': {'image/jpeg': {}}}})
    def thumbnail(path: _Path, at: _Seconds = 0, height: Annotated[int, Query(ge=16, le=2160)] = 320) -> Response:
        """An image, or the frame of a video that is shown at a moment, as JPEG of this height."""
        file = shown_file(gallery, path)
        try:
            frame = read_image(file) if is_image(file) else frame_from(file, at, height)
        except MediaError as error:
            raise HTTPException(415, f'{path!r} cannot be shown') from error
        image = film_strip(torch.from_numpy(frame.copy()).permute(2, 0, 1)[None], 1, height)
        return Response(image, media_type='image/jpeg', headers=_KEPT)

    @router.get('/preview', response_class=StreamingResponse, responses={200: {'content': {'video/mp4': {}}}})
    def preview(path: _Path, at: _Seconds = 0) -> Response:
        """A video from a moment on, two minutes of it with their sound, smaller and as every browser plays it."""
        file, at = shown_file(gallery, path), round(at, 3)
        if (kept := previews.find(file, at)) is not None:
            return FileResponse(kept, media_type='video/mp4')
        pieces = previews.make(file, at)
        try:
            first = next(pieces)  # before an answer is begun
        except MediaError as error:
            raise HTTPException(415, f'{path!r} cannot be shown') from error
        except BlockingIOError as error:
            raise HTTPException(503, str(error), {'Retry-After': '5'}) from error
        return _Pieces(first, pieces)
    return router


class _Pieces(StreamingResponse):
    """A preview while it is made; the work ends with the answer, also where nobody waits for its end."""

    def __init__(self, first: bytes, pieces: Generator[bytes, None, None]) -> None:
        super().__init__(chain([first], pieces), media_type='video/mp4')
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._pieces.close()


def check_listed(gallery: Gallery, path: str) -> None:
    """Refuses a path that the gallery does not list, with a 404."""
    paths = gallery.paths()
    place = bisect_left(paths, path)
    if paths[place:place + 1] != [path]:
        raise HTTPException(404, f'the gallery has no {path!r}')


def shown_file(gallery: Gallery, path: str) -> Path:
    """The file behind a path of the gallery.

    Raises:
        HTTPException: 404 for what the gallery does not list, for what leads out of its root, and for what is gone.
    """
    check_listed(gallery, path)
    try:
        file = gallery.file(path)
        if file.is_file():
            return file
    except (DataError, OSError):
        pass
    raise HTTPException(404, f'the file {path!r} is gone')
