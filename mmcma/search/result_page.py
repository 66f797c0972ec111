"""The answer to a query on one page: what was found, its scores, and the frames that matched."""
from collections.abc import Sequence
from html import escape
from pathlib import Path

import torch

from mmcma.apis.media import is_image
from mmcma.datasets.video.reader import open_video
from mmcma.datasets.video.sampling import frame_at
from mmcma.search.gallery import Gallery, Hit
from mmcma.utils.errors import MediaError
from mmcma.utils.files import write_atomic
from mmcma.utils.images import film_strip, read_image
from mmcma.visualization.page import embedded_image, html_page

#: Frames of a hit: those of the largest weight.
FRAMES_SHOWN = 6

_STYLE = '''
main { max-width: 1240px; }
.hits { display: grid; grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)); gap: 18px; margin-top: 18px; }
.hits section { margin: 0; grid-column: 1 / -1; }
.hits section.narrow { grid-column: auto; }
.narrow h2 { font-size: .85rem; }
section h2 { font-size: 1rem; overflow-wrap: anywhere; display: inline; margin-right: 10px; }
.score { background: #e5f3ea; color: #1c6b39; font-variant-numeric: tabular-nums; }
.frames { display: flex; flex-wrap: wrap; gap: 10px; margin-top: 12px; }
figure { margin: 0; }
figure img { height: 120px; border-radius: 6px; border: 3px solid transparent; }
figure.best img { border-color: var(--right); }
figcaption { font-size: .8rem; color: var(--soft); font-variant-numeric: tabular-nums; }
.bar { height: 4px; border-radius: 2px; background: var(--right); margin-top: 3px; }'''


def write_result_page(file: str | Path, query: str, hits: Sequence[Hit], gallery: Gallery) -> None:
    """Writes the page, with everything inside.

    Args:
        file: Where to.
        query: The text, or the path of the image or video.
        hits: Best first.
        gallery: Where they were found.
    """
    root = Path(gallery.manifest.root).resolve()
    body = ''.join(_section(rank, hit, root) for rank, hit in enumerate(hits, 1))
    page = html_page(query, f'{len(hits)} found in {root} with {gallery.manifest.model}',
                     f'<div class="hits">{body}</div>' if body else '<section>nothing found</section>', _STYLE)
    write_atomic(page.encode(), file)


def _section(rank: int, hit: Hit, root: Path) -> str:
    chips = f'<span class="chip score">{hit.score:.3f}</span>'
    if hit.end:
        chips += f'<span class="chip">{hit.end:.1f} s</span>'
    try:
        frames = f'<div class="frames">{_figures(hit)}</div>'
    except MediaError as error:
        frames = f'<p class="note">{escape(str(error))}</p>'
    name = Path(hit.path).relative_to(root).as_posix()
    kind = 'narrow' if len(hit.frame_times) == 1 else 'wide'
    return f'<section class="{kind}"><h2>{rank}. {escape(name)}</h2>{chips}{frames}</section>'


def _figures(hit: Hit) -> str:
    """The frames of the largest weights in the order of time, or evenly spaced ones where none stands out."""
    count = len(hit.frame_times)
    if hit.has_best_frames:
        shown = torch.tensor(hit.frame_weights).topk(min(FRAMES_SHOWN, count)).indices.sort().values.tolist()
    else:
        shown = torch.linspace(0, count - 1, min(FRAMES_SHOWN, count)).round().int().tolist()
    return ''.join(_figure(image, hit, index) for image, index in zip(_images(hit, shown), shown))


def _images(hit: Hit, shown: Sequence[int]) -> list[bytes]:
    """These of the hit's frames as JPEG."""
    if is_image(hit.path):
        frames = read_image(hit.path)[None]
    else:
        with open_video(hit.path) as video:
            frames = video.get_batch(frame_at(video.timestamps, [hit.frame_times[index] for index in shown]))
    return [film_strip(torch.from_numpy(frame).permute(2, 0, 1)[None], 1, 240) for frame in frames]


def _figure(image: bytes, hit: Hit, index: int) -> str:
    caption, kind = f'{hit.frame_times[index]:.1f} s' if hit.end else '', ''
    if hit.has_best_frames:
        weight = hit.frame_weights[index]
        kind = ' class="best"' if weight == max(hit.frame_weights) else ''
        caption += f' · {weight:.0%}<div class="bar" style="width: {weight / max(hit.frame_weights):.0%}"></div>'
    return (f'<figure{kind}>{embedded_image(image, "jpeg", f"frame {index + 1} of {Path(hit.path).name}")}'
            f'<figcaption>{caption}</figcaption></figure>')
