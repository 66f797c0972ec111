"""What the page shows of a gallery's files, by their paths in the folder that was indexed."""
from pathlib import Path, PurePosixPath

import torch
from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse, Response

from mmcma.apis.media import is_image
from mmcma.datasets.video.reader import open_video
from mmcma.datasets.video.sampling import frame_at
from mmcma.search import Gallery
from mmcma.search.reading import SUFFIXES
from mmcma.search.service.preview import Previews, plays_in_browsers
from mmcma.utils.errors import MediaError
from mmcma.utils.images import film_strip, read_image

#: Height of a thumbnail, in pixels.
THUMBNAIL_HEIGHT = 320

_HEADERS = {'Cache-Control': 'private, max-age=3600', 'X-Content-Type-Options': 'nosniff'}


def media_routes(gallery: Gallery, previews: Previews) -> APIRouter:
    """``/media/PATH``: an image or a video that plays. ``/thumbnail/PATH?at=SECONDS``: a small JPEG."""
    router = APIRouter(default_response_class=Response)

    @router.get('/media/{path:path}')
    def media(path: str) -> FileResponse:
        file = shown_file(gallery, path)
        try:
            if not is_image(file) and not plays_in_browsers(file):
                file = previews.of(file)
        except MediaError as error:
            raise HTTPException(415, f'{path} cannot be shown') from error
        return FileResponse(file, headers=_HEADERS)

    @router.get('/thumbnail/{path:path}')
    def thumbnail_of(path: str, at: float = 0) -> Response:
        file = shown_file(gallery, path)
        try:
            return Response(thumbnail(file, at), media_type='image/jpeg', headers=_HEADERS)
        except MediaError as error:
            raise HTTPException(415, f'{path} cannot be shown') from error
    return router


def shown_file(gallery: Gallery, path: str) -> Path:
    """The file behind a path that a browser asks for.

    Raises:
        HTTPException: 404 for what indexing would not take: a file outside the gallery's root, no video or
            image, or a hidden one.
    """
    asked = PurePosixPath(path)
    try:
        if asked.suffix.lower() in SUFFIXES and not any(part.startswith('.') for part in asked.parts):
            file = gallery.file(path)
            if file.is_file():
                return file
    except (ValueError, OSError):  # it leads out, or is no name of a file
        pass
    raise HTTPException(404, 'the gallery has no such file')


def thumbnail(path: Path, seconds: float = 0) -> bytes:
    """An image, or the frame of a video that is shown at this moment, as a small JPEG.

    Raises:
        MediaError: It cannot be read.
    """
    if is_image(path):
        frame = read_image(path)
    else:
        with open_video(path) as video:
            frame, = video.get_batch([int(frame_at(video.timestamps, seconds))])
    return film_strip(torch.from_numpy(frame).permute(2, 0, 1)[None], 1, THUMBNAIL_HEIGHT)
