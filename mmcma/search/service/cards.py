"""Results as HTML: a card each, with what plays or is seen, and the weights of its frames."""
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from mmcma.search import Hit


def heading(name: str, items: int, model: str) -> str:
    """What is searched, and with what."""
    return (f'<div class="heading"><h1>{_text(name)}</h1>'
            f'<p>{items:,} videos and images, searched with {_text(model)}</p></div>')


def message(text: str, wrong: bool = False) -> str:
    """One line in place of results."""
    return f'<p class="message{" wrong" if wrong else ""}" role="status">{_text(text)}</p>'


def cards(hits: Sequence[Hit], root: Path) -> str:
    """The cards of what was found, best first; ``root`` is the folder that was indexed."""
    return f'<div class="cards">{"".join(_card(rank, hit, root) for rank, hit in enumerate(hits, 1))}</div>'


def _card(rank: int, hit: Hit, root: Path) -> str:
    path = Path(hit.path).relative_to(root)
    address, best = quote(path.as_posix()), hit.best_moment
    if hit.end:
        shown = (f'<video controls playsinline preload="none" poster="thumbnail/{address}?at={best or 0:.3f}" '
                 f'src="media/{address}"></video>')
    else:
        shown = (f'<a href="media/{address}" target="_blank"><img src="thumbnail/{address}" loading="lazy" '
                 f'alt="{_text(path.name)}"></a>')
    length = f'<span class="length">{_moment(hit.end)}</span>' if hit.end else ''
    return (f'<article>{shown}<div class="about"><span class="rank">{rank}</span>'
            f'<span class="name" title="{_text(path.as_posix())}">{_text(path.name)}'
            f'{_folder(path)}</span>{length}<span class="score" title="similarity">{hit.score:.3f}</span></div>'
            f'{_weights(hit, best)}</article>')


def _folder(path: Path) -> str:
    return f'<small>{_text(path.parent.as_posix())}</small>' if path.parent != Path() else ''


def _weights(hit: Hit, best: float | None) -> str:
    """A bar for each frame, which leads to its moment."""
    if len(hit.frame_weights) < 2:
        return ''
    top = max(hit.frame_weights)
    bars = ''.join(
        f'<button data-at="{seconds:.3f}" title="{_moment(seconds)} · {weight:.1%} of the score"'
        f'{" class=best" if seconds == best else ""}><i style="height:{weight / top:.1%}"></i></button>'
        for weight, seconds in zip(hit.frame_weights, hit.frame_times))
    lead = '' if best is None else f'<button data-at="{best:.3f}">best at {_moment(best)}</button>'
    return f'<div class="weights">{bars}</div><div class="scale"><span>frame weights</span>{lead}</div>'


def _moment(seconds: float) -> str:
    """Seconds in words: ``9.5 s``, ``1:02:03``."""
    if seconds < 60:
        return f'{seconds:.1f} s'
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02}:{seconds:02}' if hours else f'{minutes}:{seconds:02}'


def _text(text: str) -> str:
    """A text as HTML in which Gradio finds no template of its own."""
    return escape(text).replace('$', '&#36;').replace('{', '&#123;').replace('}', '&#125;')
