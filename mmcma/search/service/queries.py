"""The queries of the API: a text, a moment of the gallery, or an uploaded file."""
import math
import shutil
from pathlib import Path, PurePath
from tempfile import NamedTemporaryFile
from threading import BoundedSemaphore
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, HTTPException, UploadFile
from fastapi import Query as Parameters
from pydantic import BaseModel, Field

from mmcma.apis.media import is_image
from mmcma.search import Gallery, Hit
from mmcma.search.gallery import MOST_HITS, features_of
from mmcma.search.listing import SUFFIXES
from mmcma.search.service.freshness import Freshness
from mmcma.search.service.items import check_listed
from mmcma.search.service.text_encoder import TextEncoder
from mmcma.structures import Features
from mmcma.utils.errors import DataError, MediaError

#: Uploads that are decoded at a time.
_DECODED_AT_ONCE = 2


class Filters(BaseModel, extra='forbid', allow_inf_nan=False):
    """Which moments, and how many."""
    k: int = Field(12, ge=1, le=1000, description='how many')
    offset: int = Field(0, ge=0, le=10_000, description='how many of the best to leave out: those of the pages before')
    rerank: int = Field(100, ge=0, le=MOST_HITS, description="how many of the first stage's best the model puts in "
                        'order; pages agree as long as offset + k is below it')
    folder: str = Field('', description="only below this folder, relative to the gallery's root")
    min_seconds: float = Field(0, ge=0, description='only files that last as long')
    max_seconds: float | None = Field(None, ge=0, description='only files that last no longer')
    per_file: int | None = Field(None, ge=1, description='at most so many moments of a file')

    @property
    def seconds(self) -> tuple[float, float] | None:
        """Shortest and longest."""
        if not self.min_seconds and self.max_seconds is None:
            return None
        return self.min_seconds, math.inf if self.max_seconds is None else self.max_seconds


class Query(Filters):
    """A text, or a moment of the gallery."""
    q: str = Field('', description='what is to be seen')
    like: str = Field('', description='in place of q: the path of a file of the gallery, to find what is like it')
    at: float = Field(0, ge=0, description='the moment of that file, in seconds')


class FoundMoment(BaseModel):
    """A moment that was found."""
    path: str = Field(description="relative to the gallery's root, with /")
    kind: Literal['video', 'image']
    score: float
    start: float = Field(description='seconds')
    end: float = Field(description='seconds')
    duration: float = Field(description='seconds of its file; 0 for an image')
    best_moment: float | None = Field(description='seconds of the frame that weighs most, where one does')
    frame_times: list[float]
    frame_weights: list[float] = Field(description='share of each frame in the score of a text')
    mark: str | None = Field(description='what became of the file since: missing, changed, …')


class Answer(BaseModel):
    """What was found, best first."""
    hits: list[FoundMoment]
    next: int | None = Field(description='offset of the next page, where there may be one')


def query_routes(gallery: Gallery, fresh: Freshness, uploads: Path) -> APIRouter:
    """``GET`` and ``POST /api/search``; uploaded files lie in ``uploads`` while they are read."""
    router, find = APIRouter(prefix='/api', dependencies=[Depends(fresh)]), _Finder(gallery)
    decoding = BoundedSemaphore(_DECODED_AT_ONCE)

    @router.get('/search')
    def search(query: Annotated[Query, Parameters()]) -> Answer:
        """Finds the moments that fit a text best, or are most like a moment of the gallery."""
        if bool(query.q.strip()) == bool(query.like):
            raise HTTPException(422, 'give one query: q, a text that is not empty, or like, a path of the gallery')
        return find(find.text(query.q) if query.q else find.moment(query.like, query.at), query, bool(query.q))

    @router.post('/search')
    def search_like(file: UploadFile, filters: Annotated[Filters, Parameters()]) -> Answer:
        """Finds the moments that are most like an image or video, which is deleted once it is read."""
        name = PurePath(file.filename or '')
        if name.suffix.lower() not in SUFFIXES:
            raise HTTPException(415, f'{name.name!r} is no video or image; its name must end in {" ".join(SUFFIXES)}')
        with decoding, NamedTemporaryFile(suffix=name.suffix, dir=uploads) as copy:
            shutil.copyfileobj(file.file, copy)
            copy.flush()
            if not copy.tell():
                raise HTTPException(422, f'{name.name!r} is empty')
            try:
                visual = gallery.inferencer.encode_visual([copy.name])
            except MediaError:  # what it says names the copy
                raise HTTPException(422, f'{name.name!r} is no video or image that can be read') from None
        return find(visual, filters, False)
    return router


class _Finder:
    """Turns queries into features, and features into answers."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery, self._encode = gallery, TextEncoder(gallery.inferencer)

    def text(self, text: str) -> Features:
        try:
            return self._encode(text)
        except DataError as error:
            raise HTTPException(422, str(error)) from error

    def moment(self, path: str, at: float) -> Features:
        """What the gallery has of the moment whose middle is nearest."""
        check_listed(self._gallery, path)
        moments = self._gallery.moments_of(path)
        return features_of([min(moments, key=lambda moment: abs((moment.start + moment.end) / 2 - at))])

    def __call__(self, features: Features, filters: Filters, is_text: bool) -> Answer:
        stop, folder = filters.offset + filters.k, filters.folder.strip('/')  # never one of this machine
        if '..' in PurePath(folder).parts:
            raise HTTPException(422, f'the folder {folder!r} leads out of the gallery')
        hits, = self._gallery.search_features(
            features, stop + 1, filters.rerank, text=is_text, folder=folder, seconds=filters.seconds,
            per_file=filters.per_file)
        return Answer(hits=[self._found(hit) for hit in hits[filters.offset:stop]],
                      next=stop if len(hits) > stop else None)

    def _found(self, hit: Hit) -> FoundMoment:
        path = PurePath(hit.path).relative_to(self._gallery.root).as_posix()
        return FoundMoment(**hit._asdict() | dict(
            path=path, kind='image' if is_image(path) else 'video', best_moment=hit.best_moment))
