"""The page: a query, filters, and what was found."""
from collections.abc import Iterable
from functools import partial
from pathlib import Path, PurePosixPath

import gradio as gr

from mmcma.search import Gallery
from mmcma.search.service.cards import heading, message
from mmcma.search.service.search import ANY_LENGTH, LENGTHS, Search

_HINT = message('Say what is to be seen, or give an image or a video to find more like it.')
#: Seconds after which an uploaded file is deleted, and between two looks for such.
_UPLOAD_KEPT = 3600


def make_page(gallery: Gallery, results: int) -> gr.Blocks:
    """The page of a gallery.

    Args:
        gallery: An open one, with its model.
        results: How many to show.
    """
    items = gallery.paths()
    name = Path(gallery.manifest.root).name
    with gr.Blocks(title=f'{name} · mmcma', analytics_enabled=False, fill_width=True,
                   delete_cache=(_UPLOAD_KEPT, _UPLOAD_KEPT)) as page:
        gr.HTML(heading(name, len(items), Path(gallery.manifest.model).stem), apply_default_css=False)
        with gr.Row():
            text = gr.Textbox(label='Query', placeholder='what is to be seen', container=False, autofocus=True,
                              max_lines=1, scale=6, min_width=150, elem_id='query')
            button = gr.Button('Search', variant='primary', scale=1, min_width=100)
        with gr.Row():
            upload = gr.File(file_types=['image', 'video'], show_label=False, height=36, scale=3, min_width=300,
                             elem_id='upload')
            filters = [gr.Dropdown([('all folders', ''), *folders_of(items)], value='', label='Folder', container=False,
                                   scale=1, min_width=130, elem_id='folder'),
                       gr.Dropdown(list(LENGTHS), value=ANY_LENGTH, label='Length', container=False, scale=1,
                                   min_width=130, elem_id='length')]
        found = gr.HTML(_HINT, elem_id='found', apply_default_css=False)
        _connect(Search(gallery, results, Path(upload.GRADIO_CACHE)), text, button, upload, filters, found)
    return page


def _connect(search: Search, text: gr.Textbox, button: gr.Button, upload: gr.File, filters: list[gr.Dropdown],
             found: gr.HTML) -> None:
    """A text takes the place of an upload and the other way round; a filter asks again."""
    on = partial(gr.on, show_progress='minimal', api_visibility='private')
    on([text.submit, button.click], lambda text, *only: (search(text, None, *only), None), [text, *filters],
       [found, upload])
    on([upload.upload], lambda upload, *only: (search('', upload, *only), ''), [upload, *filters], [found, text])
    on([upload.clear], lambda: _HINT, None, found)
    on([choice.input for choice in filters],
       lambda text, upload, *only: search(text, upload, *only) if text or upload else _HINT,
       [text, upload, *filters], found)


def folders_of(items: Iterable[str]) -> list[str]:
    """All folders that hold these paths or folders of them, below the root."""
    return sorted({folder.as_posix() for path in items for folder in PurePosixPath(path).parents} - {'.'})
