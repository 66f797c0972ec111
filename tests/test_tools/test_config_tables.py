"""Metafiles and the tables of READMEs have the figures of the studies' files, and name every config."""
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mmcma.utils.errors import DataError

ROOT = Path(__file__).parents[2]
METAFILES = sorted(ROOT.glob('configs/*/metafile.yml'))


@pytest.fixture(scope='module')
def tool():
    return importlib.import_module('config_tables')


def run(recall: float, **results) -> dict:
    figures = {f'{way}/{key}': 50.0 for way in ('t2v', 'v2t') for key in ('R@1', 'R@5', 'R@10', 'MdR', 'MnR')}
    return dict(dataset='GlyphMotion', split='test', results={**figures, 't2v/R@1': recall, **results})


def test_the_committed_files_are_what_the_tool_writes(tool):
    for path, text in tool.generated().items():
        assert text == path.read_text(), f'{path}: run python tools/analysis_tools/config_tables.py'


def test_a_metafile_gets_means_and_loses_what_was_not_measured(tool):
    before = yaml.safe_dump(dict(Collections=[dict(Name='A')], Models=[
        dict(Name='a_tiny_glyphmotion', Config='a.py', Results='old'), dict(Name='b', Config='b.py', Results='old')]))
    runs = dict(a_tiny_glyphmotion=[run(10.0), run(12.1, **{'v2t/MdR': 51.0})])
    first, second = yaml.safe_load(tool.with_results(before, runs))['Models']
    result, = first['Results']
    assert (result['Task'], result['Dataset']) == ('Text-video retrieval', 'GlyphMotion test')
    assert list(result['Metrics'])[:2] == ['T2V R@1', 'T2V R@5'] and len(result['Metrics']) == 10
    assert result['Metrics']['T2V R@1'] == 11.1 and result['Metrics']['V2T MdR'] == 50.5  # 11.05 and 50.5
    assert second == dict(Name='b', Config='b.py')


def test_a_familys_row_says_the_recall_or_what_it_needs(tool):
    table = '''| config | backbone | trained parameters | T2V R@1 |
|---|---|---|---|
| [a_tiny_x.py](a_tiny_x.py) | clip-tiny-glyphs | 1,000 | old |
| [b_tiny_x.py](b_tiny_x.py) | clip-tiny-glyphs | 2,000 | old |
| [c_vit-b32_x.py](c_vit-b32_x.py) | CLIP ViT-B/32 | 3,000 |
| [d_siglip2-b16_x.py](d_siglip2-b16_x.py) | SigLIP 2 B/16 | 4,000 |  |

[a_tiny_x.py](a_tiny_x.py) | stays | as it is |
'''
    runs = dict(a_tiny_x=[run(10.0), run(12.0)])
    filled = tool.with_recalls(table, runs)
    cells = [line.split(' | ')[-1] for line in filled.splitlines()]
    assert cells[2:6] == ['11.0 ± 1.4 |', '– |', "needs CLIP's weights |", "needs SigLIP 2's weights |"]
    assert cells[7] == 'as it is |' and tool.with_recalls(filled, runs) == filled
    without = table.replace(' | T2V R@1 |', ' | else |')
    assert tool.with_recalls(without, {}) == without


def test_the_projects_row_has_the_range_of_its_family(tool):
    family = '''| [a_tiny_glyphmotion.py](x) | clip-tiny-glyphs | 1,000 | 11.0 ± 1.4 |
| [b_tiny_glyphmotion.py](x) | clip-tiny-glyphs | 2,000 | 9.8 ± 0.1 |
| [c_tiny_glyphmotion.py](x) | clip-tiny-glyphs | 2,000 | – |
| [c_tiny_flickr8k.py](x) | clip-tiny-glyphs | 2,000 | 99.0 |
| [c_vit-b32_msrvtt.py](x) | CLIP ViT-B/32 | 3,000 | needs CLIP's weights |
| [d_vit-b32_msrvtt.py](x) | CLIP ViT-B/32 | 12,000 | needs CLIP's weights |
'''
    readme = 'a\n| [lora](configs/lora/README.md) | both | old | old |\n'
    tables = {ROOT / 'configs/lora/README.md': family}
    assert tool.with_ranges(readme, tables) == \
        'a\n| [lora](configs/lora/README.md) | both | 3,000 – 12,000 | 9.8 – 11.0 |\n'


def test_an_entry_with_options_is_no_result_of_its_config(tool):
    """The study's runs of other widths have the quickstart's config, and must not be averaged with its own."""
    assert [entry['entry'] for entry in tool.read_runs()['cma_tiny_glyphmotion']] == ['cma'] * 3


@pytest.mark.parametrize('text', ['{', '[{"results": {}}]', '[1]'])
def test_a_damaged_file_of_a_run_is_named(tool, monkeypatch, text):
    study = importlib.import_module('study')
    monkeypatch.setattr(study.Study, 'results', lambda *_: study.json.loads(text))
    with pytest.raises(DataError, match="docs/results/glyphmotion/runs: a file of 'zero-shot' is damaged"):
        tool.read_runs()


def test_an_unknown_argument_ends_with_exit_code_2():
    done = subprocess.run([sys.executable, ROOT / 'tools/analysis_tools/config_tables.py', 'glyphmotion'],
                          capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.endswith('unrecognized arguments: glyphmotion\n')


@pytest.mark.parametrize('path', METAFILES, ids=lambda path: path.parent.name)
def test_a_metafile_names_every_config_once(path):
    content = yaml.safe_load(path.read_text())
    collections = {collection['Name'] for collection in content['Collections']}
    configs = sorted(str(config.relative_to(ROOT)) for config in path.parent.glob('*.py'))
    assert sorted(model['Config'] for model in content['Models']) == configs
    assert all(model['Name'] == Path(model['Config']).stem for model in content['Models'])
    assert {model['In Collection'] for model in content['Models']} == collections
    assert {collection['README'] for collection in content['Collections']} == {f'configs/{path.parent.name}/README.md'}


def test_the_index_has_every_metafile():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    assert index == [str(path.relative_to(ROOT)) for path in METAFILES]
