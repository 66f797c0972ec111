"""tools/analysis_tools/browse_dataset.py: the sheet, the summary, and the check."""
import re
import sys
import time
from pathlib import Path

import pytest
from helpers.annotations import write_flickr8k
from helpers.imports import import_file
from helpers.media import write_image, write_video

from mmcma.cli.arguments import run_tool
from mmcma.datasets import Flickr8k
from mmcma.datasets.retrieval_dataset import SplitSize
from mmcma.datasets.transforms import BaseTransform
from mmcma.registry import TRANSFORMS
from mmcma.utils.errors import WeightsError
from mmcma.visualization.caption_tokens import CaptionTokens

ROOT = Path(__file__).parents[2]
TINY = 'mmcma/clip-tiny-glyphs'


@TRANSFORMS.register_module()
class Stuck(BaseTransform):
    """Never ends for the file that is called so."""

    def transform(self, results: dict) -> dict:
        if 'stuck' in results['path']:
            time.sleep(600)
        return results


@pytest.fixture
def browse(monkeypatch, tmp_path, capsys):
    """Runs the tool in ``tmp_path``; gives the exit code and what it printed."""
    module = import_file(ROOT / 'tools' / 'analysis_tools' / 'browse_dataset.py')
    monkeypatch.chdir(tmp_path)

    def run(*arguments) -> tuple[int, str]:
        monkeypatch.setattr(sys, 'argv', ['browse_dataset.py', *map(str, arguments), '--workers', '2'])
        try:
            run_tool(module.main)
            code = 0
        except SystemExit as end:
            code = int(end.code)
        shown = capsys.readouterr()
        return code, re.sub(r'\s+', ' ', shown.out) + shown.err
    return run


def write_config(root: Path, lines: str, pretrained: str = TINY) -> Path:
    """A config of own clips, listed in ``lines``, of which the model reads 8 tokens a caption."""
    (root / 'own.csv').write_text('path,caption\n' + lines)
    (root / 'own.py').write_text(f"""
_base_ = ['{ROOT}/configs/_base_/models/clip_tiny.py', '{ROOT}/configs/_base_/loaders.py']
model = dict(data_preprocessor=dict(max_words=8), text_backbone=dict(pretrained='{pretrained}'))
pipeline = [dict(type='Stuck'), dict(type='LoadVideoFrames', num_frames=4), dict(type='ResizeCrop', size=32),
            dict(type='PackRetrievalInputs')]
source = dict(type='CaptionedFiles', data_root='{root}', data_prefix=dict(visual='videos'), ann_file='own.csv',
              pipeline=pipeline)
train_dataloader = dict(dataset=source)
val_dataloader = dict(dataset=source)
test_dataloader = dict(dataset=source)
""")
    return root / 'own.py'


def write_clips(root: Path) -> str:
    for name, frames in (('a', 20), ('b', 30), ('c', 60)):
        write_video(root / 'videos' / f'{name}.mp4', num_frames=frames, fps=10)
    return ('a.mp4,a <red> star\na.mp4,"one two three, and four five six seven"\nb.mp4,a blue moon\n'
            'c.mp4,a green sun\n')


def test_sheet_and_summary(browse, tmp_path):
    code, shown = browse(write_config(tmp_path, write_clips(tmp_path)), '--split', 'val', '--num', 2)
    assert code == 0
    for line in ('gallery 3 of 3', 'items 3', 'captions 4', 'captions an item 1 to 2, median 1',
                 'seconds a clip 2 to 6, median 3 (3 clips measured)', 'sheet: work_dirs/own/browse/val.html'):
        assert f'{line}' in shown, line
    counts = sorted(CaptionTokens(dict(text_backbone=dict(pretrained=TINY))).counts(
        ['a <red> star', 'one two three, and four five six seven', 'a blue moon', 'a green sun']))
    assert f'tokens a caption {counts[0]} to {counts[-1]}, median' in shown
    assert f'cut {sum(count > 8 for count in counts)} captions' in shown
    page = (tmp_path / 'work_dirs/own/browse/val.html').read_text()
    assert 'own.py, val' in page and '2 of 3 items' in page and page.count('data:image/jpeg') == 2
    assert 'a &lt;red&gt; star' in page and 'http' not in page and '<script' not in page
    assert '<h2>a.mp4</h2><span class="chip">2 of 4 frames</span><span class="chip">32 px</span>' in page
    assert re.search(r'one two [^<]*<span class="unread">[^<]*seven</span>', page)


def test_check_of_what_is_right(browse, tmp_path):
    code, shown = browse(write_config(tmp_path, write_clips(tmp_path)), '--check', '--num', 0)
    assert code == 0
    assert 'checked 3 items: 3 read, 0 unreadable, 0 without a file; all is well' in shown


def test_check_lists_everything_that_is_wrong(browse, tmp_path):
    """Broken, empty, hung and missing files, each with its reason; the hung one holds nothing up."""
    lines = write_clips(tmp_path)
    for name, content in (('broken', b'no video'), ('empty', b''), ('stuck', b'x')):
        (tmp_path / f'videos/{name}.mp4').write_bytes(content)
        lines += f'{name}.mp4,words\n'
    config = write_config(tmp_path, lines + 'gone.mp4,words\nalso gone.mp4,words\n')
    code, shown = browse(config, '--check', '--timeout', 3)
    assert code == 1
    for part in ('gone.mp4: no file', 'also gone.mp4: no file', 'broken.mp4: cannot be read',
                 'empty.mp4: the file is empty', 'stuck.mp4: no progress for 3 s',
                 'checked 8 items: 3 read, 3 unreadable, 2 without a file; something is wrong', 'gallery 6 of 8'):
        assert part in shown, part
    assert shown.count('wrong: ') == 5
    page = (tmp_path / 'work_dirs/own/browse/train.html').read_text()
    assert page.count('<section class="broken">') == 3 and 'the file is empty' in page


def test_check_of_the_counts(browse, tmp_path, monkeypatch):
    write_flickr8k(tmp_path)
    config = ROOT / 'configs/cma/cma_tiny_flickr8k.py'
    options = ['--split', 'val', '--check', '--cfg-options', f'data_root={tmp_path}']
    code, shown = browse(config, *options)
    assert code == 1
    assert 'Flickr8k dev: lists 1 items and 5 captions; the published split has 1,000 and 5,000' in shown
    assert '1 read, 0 unreadable, 0 without a file; something is wrong' in shown
    assert 'items 1 (published: 1,000)' in shown and 'seconds a clip' not in shown
    monkeypatch.setattr(Flickr8k, 'SPLITS', {'dev': SplitSize(1, 5)})
    assert browse(config, *options)[0] == 0


def test_a_tokenizer_that_is_not_there_costs_its_figures_only(browse, tmp_path):
    code, shown = browse(write_config(tmp_path, write_clips(tmp_path), pretrained='nobody/no-such-clip'))
    assert code == 0
    assert "tokens a caption not counted: the tokenizer of 'nobody/no-such-clip' is not on this machine" in shown
    assert ' cut ' not in shown


def test_a_drawn_data_set_has_a_sheet_too(browse):
    code, shown = browse(ROOT / 'configs/pretrain/clip_tiny_glyphs.py', '--split', 'test', '--num', 3,
                         '--cfg-options', 'test_dataloader.dataset.length=5')
    assert code == 0 and 'samples 5' in shown


@pytest.mark.parametrize('options, message', [
    (['--cfg-options', 'data_root=/no/where'], "error: data_root '/no/where' is not a folder; MSVD train expects"),
    (['--cfg-options', 'train_dataloader.dataset.tpye=X'], "'tpye'")])
def test_errors_are_one_line(browse, options, message):
    code, shown = browse(ROOT / 'configs/cma/cma_tiny_msvd.py', *options)
    assert code == 2 and message in shown


def test_what_the_limit_cuts_off():
    tokens = CaptionTokens(dict(text_backbone=dict(pretrained=TINY), data_preprocessor=dict(max_words=5)))
    for caption in ('a red star over a blue moon', 'a', 'A  Red\tSTAR  '):
        read = tokens.read_part(caption)
        ids = tokens._tokenizer(caption, truncation=True, max_length=5).input_ids
        assert caption.startswith(read) and tokens._tokenizer(read).input_ids == ids
    assert tokens.read_part('é ünïcode') == 'é ü'  # letters of several tokens count with the first
    with pytest.raises(WeightsError, match='names no tokenizer'):
        CaptionTokens({})


def test_images_have_no_length(browse, tmp_path):
    write_image(tmp_path / 'videos/a.png')
    config = write_config(tmp_path, 'a.png,an image\n')
    config.write_text(config.read_text().replace("type='LoadVideoFrames', num_frames=4", "type='LoadImage'"))
    code, shown = browse(config, '--check')
    assert code == 0 and 'seconds a clip' not in shown
