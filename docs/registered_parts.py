"""The directive ``registered-parts``: what a registry holds, with every config key, from signatures and docstrings."""
import inspect
import re
from collections.abc import Iterator

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from mmcma import registry

#: Bases that a page shows above its parts, whose keys and signature the parts do not repeat.
SHOWN_ONCE = ('RetrievalDataset',)


def registered_parts(name: str, package: str = 'mmcma') -> list[type]:
    """The parts of this package in the registry ``name`` (``'MODELS'``), those of one ``package`` of it."""
    known = getattr(registry, name)
    known.import_from_location()
    return [part for part in known.module_dict.values() if f'{part.__module__}.'.startswith(f'{package}.')]


def config_keys(part: type) -> list[str]:
    """Names that a config may give to the part: its constructor's, and its bases' where that takes ``**kwargs``."""
    keys: dict[str, None] = {}
    for kind in part.__mro__:
        if '__init__' not in vars(kind):
            continue
        parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
        keys.update(dict.fromkeys(p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)))
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return list(keys)


def key_texts(part: type) -> dict[str, list[str]]:
    """What the docstrings of the part and its bases, ours and mmengine's, say of each of its keys."""
    texts: dict[str, list[str]] = {}
    for kind in part.__mro__:
        if kind.__module__.split('.')[0] in ('mmcma', 'mmengine'):
            texts = {**_args(inspect.cleandoc(kind.__doc__ or '').splitlines()), **texts}
    return {key: texts[key] for key in config_keys(part) if key in texts}


def own_texts(part: type) -> dict[str, list[str]]:
    """``key_texts`` without what a base of ``SHOWN_ONCE`` says of its keys: the page has that once, above the parts."""
    shared = next((key_texts(kind) for kind in shown_bases(part)), {})
    return {key: text for key, text in key_texts(part).items() if shared.get(key) != text}


def shown_bases(part: type) -> list[type]:
    """Bases of the part that its page shows."""
    return [kind for kind in part.__mro__[1:] if kind.__name__ in SHOWN_ONCE]


def _args(lines: list[str]) -> dict[str, list[str]]:
    """Key -> lines of its text in the section ``Args`` of a docstring; keys that share a text have it each."""
    texts: dict[str, list[str]] = {}
    for line in _section(lines):
        start = re.match(r' {4}(\S[^:]*?)(?: \(.*?\))?:(?: |$)(.*)', line)
        if start:
            current = [start[2]]
            texts.update({name.strip(): current for name in start[1].split(',')})
        elif texts and line:
            current.append(line.strip())
    return texts


def _section(lines: list[str]) -> Iterator[str]:
    """The lines below ``Args:``."""
    if 'Args:' in lines:
        for line in lines[lines.index('Args:') + 1:]:
            if line and not line.startswith(' '):
                return
            yield line


def complete_args(app, what, name, part, options, lines: list[str]) -> None:
    """Gives a class's docstring the keys of its bases, so that napoleon lays out all of them."""
    if what != 'class':
        return
    own = len(list(_section(lines)))
    start = lines.index('Args:') if own else len(lines)
    entries = [line for key, text in own_texts(part).items()
               for line in (f'    {key}: {text[0]}', *(f'        {more}' for more in text[1:]))]
    lines[start:start + own + bool(own)] = ['', 'Args:', *entries, ''] if entries else []


def short_signature(app, what, name, part, options, signature, annotation):
    """``(**kwargs)`` for a class that is made as a base that the page shows."""
    if what == 'class' and any(part.__init__ is kind.__init__ for kind in shown_bases(part)):
        return '(**kwargs)', annotation
    return None


class RegisteredParts(SphinxDirective):
    """``.. registered-parts:: MODELS mmcma.models.necks``: each part as autodoc shows a class, by name."""
    required_arguments = 1
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        parts = sorted(registered_parts(*self.arguments), key=lambda part: part.__name__.lower())
        return self.parse_text_to_nodes('\n\n'.join(
            f'.. autoclass:: {part.__module__}.{part.__qualname__}' for part in parts))


def setup(app) -> dict:
    app.add_directive('registered-parts', RegisteredParts)
    app.connect('autodoc-process-docstring', complete_args, priority=400)  # napoleon's is 500
    app.connect('autodoc-process-signature', short_signature)
    return dict(parallel_read_safe=True)
