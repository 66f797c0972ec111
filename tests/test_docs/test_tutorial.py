"""The tutorial notebook: run as it stands, with fewer clips."""
import json
import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

TUTORIAL = Path(__file__).parents[2] / 'demo' / 'tutorial.ipynb'


@pytest.fixture
def notebook():
    return nbformat.read(TUTORIAL, 4)


def test_it_holds_no_outputs_and_leads_to_pages(notebook):
    assert TUTORIAL.stat().st_size < 16_000
    assert not any(cell.get('outputs') or cell.get('execution_count') for cell in notebook.cells)
    links = re.findall(r'\]\(([^)]+)\)', '\n'.join(cell.source for cell in notebook.cells))
    assert links and all((TUTORIAL.parent / link).is_file() for link in links)


@pytest.mark.slow
def test_it_runs_from_data_to_search(notebook, tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}')
    parameters, = (cell for cell in notebook.cells if 'parameters' in cell.metadata.get('tags', []))
    parameters.source = 'CLIPS = dict(train=16, val=8, test=8)\nEPOCHS = 1'
    NotebookClient(notebook, timeout=None, resources=dict(metadata=dict(path=str(tmp_path)))).execute()
    outputs = [output for cell in notebook.cells for output in cell.get('outputs', [])]
    said = ''.join(output.get('text', '') for output in outputs)
    assert 'error' not in said and '8 items, 8 moments; 8 added' in said
    assert len(re.findall(r'^ +\d +-?0\.\d{3}  \S+\.mp4', said, re.M)) == 5
    shown = [kind for output in outputs for kind in output.get('data', {})]
    assert shown.count('image/jpeg') == 5 and shown.count('image/png') == 2
    # The test of the checkpoint is the training's own.
    report = json.loads((tmp_path / 'work_dirs' / 'tutorial' / 'report.json').read_text())
    tested = json.loads((tmp_path / 'metrics.json').read_text())
    assert all(tested[name] == value for name, value in report['results']['adapted'].items() if name in tested)
    assert 't2v/R@1' in tested.keys() & report['results']['adapted'].keys()
    assert (tmp_path / 'glyph-adapter' / 'adapter_model.safetensors').stat().st_size < 200_000
