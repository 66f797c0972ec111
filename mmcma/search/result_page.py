"""The answer to a query on one page: what was found, its scores, and the frames that matched."""
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from mmcma.apis.media import is_image
from mmcma.datasets.video.reader import open_video
from mmcma.datasets.video.sampling import frame_at
from mmcma.search.gallery import Gallery, Hit
from mmcma.utils.errors import MediaError
from mmcma.utils.files import write_atomic
from mmcma.utils.images import evenly_spaced, film_strip, read_image
from mmcma.visualization.page import render

#: Frames of a hit: those of the largest weight.
FRAMES_SHOWN = 6


class _Section(NamedTuple):
    """One hit on the page: the name in the gallery and that of the file, and its frames, or why there are none."""
    hit: Hit
    name: str
    file: str
    frames: list['_Frame']
    error: str | None = None


class _Frame(NamedTuple):
    """One frame of a hit: its number from 1, a JPEG, and its weight, where some frame weighs more than another."""
    number: int
    image: bytes
    seconds: float
    weight: float | None
    best: bool


def write_result_page(file: str | Path, query: str, hits: Sequence[Hit], gallery: Gallery) -> None:
    """Writes the page, with everything inside.

    Args:
        file: Where to.
        query: The text, or the path of the image or video.
        hits: Best first.
        gallery: Where they were found.
    """
    root = gallery.root
    page = render('result_page.html.j2', folder=Path(__file__).parent / 'templates', title=query,
                  subtitle=f'{len(hits)} found in {root} with {gallery.manifest.model}',
                  sections=[_section(hit, root) for hit in hits])
    write_atomic(page.encode(), file)


def _section(hit: Hit, root: Path) -> _Section:
    path = Path(hit.path)
    name = path.relative_to(root).as_posix()
    try:
        return _Section(hit, name, path.name, _frames(hit))
    except MediaError as error:
        return _Section(hit, name, path.name, [], str(error))


def _frames(hit: Hit) -> list[_Frame]:
    """The frames of the largest weights in the order of time, or evenly spaced ones where none stands out."""
    places = list(range(len(hit.frame_times)))
    if hit.best_moment is None:
        shown = evenly_spaced(len(places), FRAMES_SHOWN).tolist()
    else:
        shown = sorted(sorted(places, key=lambda place: -hit.frame_weights[place])[:FRAMES_SHOWN])
    return [_Frame(place + 1, image, hit.frame_times[place],
                   None if hit.best_moment is None else hit.frame_weights[place],
                   hit.frame_times[place] == hit.best_moment)
            for place, image in zip(shown, _images(hit, shown))]


def _images(hit: Hit, shown: Sequence[int]) -> list[bytes]:
    """These of the hit's frames as JPEG."""
    if is_image(hit.path):
        frames = read_image(hit.path)[None]
    else:
        with open_video(hit.path) as video:
            seconds = np.array([hit.frame_times[place] for place in shown])
            frames = video.get_batch(frame_at(video.timestamps, seconds).tolist())
    return [film_strip(torch.from_numpy(frame).permute(2, 0, 1)[None], 1, 240) for frame in frames]
