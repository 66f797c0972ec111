"""The pages build without a warning and name what exists; the examples in them train."""
import importlib
import pkgutil
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers.commands import run
from mmengine.registry import Registry
from PIL import Image

import mmcma
from mmcma import registry
from mmcma.registry import MODELS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / 'docs'
DOCUMENTS = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (
    *ROOT.glob('README*.md'), *DOCS.rglob('*.md'), *(ROOT / 'configs').rglob('README.md'))}
REGISTRIES = [name for name, value in vars(registry).items() if isinstance(value, Registry)]
needs_sphinx = pytest.mark.skipif(any(find_spec(name) is None for name in ('sphinx', 'myst_parser', 'furo')),
                                  reason="the extra 'docs' is not installed")


@pytest.fixture(scope='module')
def pages(tmp_path_factory) -> Path:
    """The built pages; a warning, such as a link to what is not there, fails the build."""
    out = tmp_path_factory.mktemp('docs')
    built = subprocess.run([sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q', str(DOCS), str(out)],
                           capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return out


@pytest.fixture
def directives(monkeypatch):
    """Imports the modules of Sphinx directives beside the pages."""
    pytest.importorskip('sphinx', reason="the extra 'docs' is not installed")
    monkeypatch.syspath_prepend(DOCS)


@pytest.fixture
def reference(directives):
    """docs/registered_parts.py."""
    return importlib.import_module('registered_parts')


def joined(folder: Path) -> str:
    return ''.join(page.read_text() for page in sorted(folder.glob('*.html')))


@pytest.mark.slow
@needs_sphinx
def test_every_part_and_key_is_in_the_reference(pages, reference):
    html = joined(pages / 'config')
    for name in REGISTRIES:
        for part in reference.registered_parts(name):
            name = re.escape(f'{part.__module__}.{part.__name__}')
            entry = re.search(rf'id="{name}">(.*?)(?=<dt class="sig sig-object|\Z)', html, re.S)
            assert entry, part
            for key in reference.own_texts(part):
                assert f'<strong>{key}</strong>' in entry[1], (part, key)


@pytest.mark.slow
@needs_sphinx
def test_keys_of_all_data_sets_are_given_once(pages):
    page = (pages / 'config' / 'datasets.html').read_text()
    assert page.count('<strong>on_error</strong>') == 1
    assert page.index('<strong>on_error</strong>') < page.index('id="mmcma.datasets.msrvtt.MSRVTT"')


@pytest.mark.slow
@needs_sphinx
def test_everything_public_is_in_the_api_reference(pages, directives):
    """What ``__all__`` of a package names, and of the modules without one, all that they define."""
    api = joined(pages / 'api')
    packages = [f'mmcma.{room.name}' for room in pkgutil.iter_modules(mmcma.__path__)]
    modules = [name for name in packages if getattr(importlib.import_module(name), '__all__', None)]
    assert {'mmcma.apis', 'mmcma.search', 'mmcma.datasets', 'mmcma.evaluation', 'mmcma.config'} <= set(modules)
    public_names = importlib.import_module('public_names').public_names
    for module in [*modules, 'mmcma.structures', 'mmcma.registry', 'mmcma.checkpoints', 'mmcma.utils.errors']:
        for path, value in public_names(module):
            place = f'config/[a-z]+.html#{value.__module__}.{value.__qualname__}' if isinstance(value, type) else path
            assert f'id="{path}"' in api or re.search(f'href="../{place}"', api), path


@needs_sphinx
def test_public_names_of_a_module_without_a_list(directives):
    public_names = importlib.import_module('public_names').public_names
    names = [path for path, _ in public_names('mmcma.structures')]
    assert 'mmcma.structures.Features' in names and 'mmcma.structures.padded' in names
    assert not {'mmcma.structures.Tensor', 'mmcma.structures.BaseDataElement'} & set(names)  # imported there
    assert 'mmcma.checkpoints.identity.backbone_identity' in [path for path, _ in public_names('mmcma.checkpoints')]


@needs_sphinx
@pytest.mark.parametrize('name', [name for name in REGISTRIES if name != 'MODEL_WRAPPERS'])
def test_every_key_is_described(reference, name):
    for part in reference.registered_parts(name):
        assert set(reference.config_keys(part)) == set(reference.key_texts(part)), part


@needs_sphinx
def test_descriptions_come_from_the_part_before_its_bases(reference):
    class Base:
        """Base.

        Args:
            a: One
                and more.
            b, c: Two.

        Raises:
            d: Never.
        """

        def __init__(self, a, b, c, hidden=None):
            pass

    class Part(Base):
        """Part.

        Args:
            b (int): Its own.
            **kwargs: See Base.
        """

        def __init__(self, *, b, **kwargs):
            pass

    Base.__module__ = Part.__module__ = 'mmcma.x'
    assert reference.config_keys(Part) == ['b', 'a', 'c', 'hidden']
    assert reference.key_texts(Part) == {'b': ['Its own.'], 'a': ['One', 'and more.'], 'c': ['Two.']}


@pytest.mark.slow
@needs_sphinx
def test_the_images_are_there(pages):
    assert list((pages / '_images').glob('query_panels*.png'))
    for image in (DOCS / 'images').iterdir():
        assert image.stat().st_size < 300_000 and Image.open(image).size[0] > 600


@pytest.mark.parametrize('document', DOCUMENTS)
def test_what_a_document_names_exists(document):
    named = re.findall(r'(?<![\w./-])(?:tools|configs|demo|docs|mmcma|tests|requirements)/[\w./-]+\.'
                       r'(?:py|sh|md|json|yml|txt|png)\b', DOCUMENTS[document])
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize('document', DOCUMENTS)
def test_links_lead_to_files_and_headings(document):
    for link in re.findall(r'\]\(([^)\s]+)\)', DOCUMENTS[document]):
        if '://' not in link:
            path, _, heading = link.partition('#')
            target = (ROOT / document).parent / path if path else ROOT / document
            assert target.exists(), link
            assert not heading or heading in anchors(target.read_text()), link


def anchors(page: str) -> list[str]:
    """Of the headings, as GitHub and MyST name them."""
    return [re.sub(r'[^\w -]', '', heading).strip().lower().replace(' ', '-')
            for heading in re.findall(r'^#+ (.*)$', page, re.M)]


def test_the_examples_train(tmp_path, monkeypatch):
    """A neck, a similarity and a data set of one's own, in one config."""
    monkeypatch.syspath_prepend(DOCS / 'examples')
    monkeypatch.chdir(tmp_path)
    for split, captions in (('train', ['a_red_star', 'a_blue_moon', 'a_king', 'snow']), ('val', ['a_sun', 'a_face'])):
        for number, caption in enumerate(captions):
            folder = tmp_path / 'named' / split / caption
            folder.mkdir(parents=True)
            Image.new('RGB', (80, 64), (60 * number, 200, 90)).save(folder / '01.png')
    options = ['data_root=named', 'train_cfg.max_epochs=2']
    assert run('train', DOCS / 'examples/own_parts.py', '--work-dir', 'work', '--cfg-options', *options) == 0
    import torch
    trained = torch.load('work/best.pth', weights_only=False)['state_dict']
    assert {name.split('.')[0] for name in trained} == {'neck', 'head'}
    assert sum(name.endswith('gain') for name in trained) == 16  # 2 towers x 4 layers x 2 branches
    assert 'head.similarity.log_temperature' in trained
    assert not torch.equal(trained['neck.affines.0.gain'], torch.ones(192))
    assert run('test', DOCS / 'examples/own_parts.py', '--work-dir', 'b', '--cfg-options', 'data_root=nowhere') == 2


def test_the_example_similarity_is_a_mean_at_high_temperature(monkeypatch):
    import torch

    from mmcma.structures import Features
    monkeypatch.syspath_prepend(DOCS / 'examples')
    import soft_best_frame  # noqa: F401
    mask = torch.tensor([[True, True], [True, False]])
    frames = torch.eye(3)[torch.tensor([[0, 1], [2, 1]])]  # (M, T, D)
    text, visual = Features(torch.eye(3)), Features(frames.mean(dim=1), frames, mask)
    mean = MODELS.build(dict(type='SoftBestFrame', temperature=1e6))(text, visual)
    best = MODELS.build(dict(type='SoftBestFrame', temperature=1e-6))(text, visual)
    torch.testing.assert_close(mean, torch.tensor([[0.5, 0.0], [0.5, 0.0], [0.0, 1.0]]))
    torch.testing.assert_close(best, torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
