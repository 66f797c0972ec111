"""docs/data.md says what the data sets' classes and configs say."""
import re
from pathlib import Path

import pytest

from mmcma import datasets
from mmcma.config import load_config

ROOT = Path(__file__).parents[2]
SECTIONS = dict(re.findall(r'^## (.*?)\n(.*?)(?=^## |\Z)', (ROOT / 'docs/data.md').read_text(), re.M | re.S))
TITLES = dict(MSRVTT='MSR-VTT', ActivityNetCaptions='ActivityNet Captions', COCO='MSCOCO', Flickr30k='Flickr30K',
              CaptionedFiles='Your own: CaptionedFiles')
KINDS = [kind for kind in vars(datasets).values() if isinstance(kind, type)
         and issubclass(kind, datasets.RetrievalDataset) and kind is not datasets.RetrievalDataset]


@pytest.mark.parametrize('kind', KINDS, ids=lambda kind: kind.__name__)
def test_files_splits_and_counts(kind):
    section = SECTIONS[TITLES.get(kind.__name__, kind.__name__)]
    names = re.findall(r'[^\s/{}()]+\.(?:json|csv|txt|pkl|mp4|avi|jpg)\b', ' '.join(kind.LAYOUT))
    assert names or not kind.SPLITS or kind is datasets.GlyphMotion
    for name in names:
        assert name in section, name
    for split, standard in kind.SPLITS.items():
        for text in (f'`{split}`', f'{standard.items:,}', f'{standard.captions:,}'):
            assert text in section, text


@pytest.mark.parametrize('name', sorted(set(re.findall(r'`(cma_\S+\.py)`', ''.join(SECTIONS.values())))))
def test_configs_to_check_with(name):
    """They exist, and read the set of their section from the folder that its tree begins with."""
    title, section = next((title, text) for title, text in SECTIONS.items() if f'`{name}`' in text)
    cfg = load_config(ROOT / 'configs/cma' / name)
    kind = cfg.test_dataloader.dataset.type
    assert title == TITLES.get(kind, kind)
    assert cfg.data_root in section or kind == 'GlyphMotion'


def test_every_set_has_a_config_to_check_with():
    named = [title for title, text in SECTIONS.items() if re.search(r'Check: `cma_', text)]
    assert set(named) == {TITLES.get(kind.__name__, kind.__name__) for kind in KINDS} - {TITLES['CaptionedFiles']}
