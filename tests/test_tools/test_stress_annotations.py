"""The campaign of changed annotation files: none ends in another error than the project's own."""
import subprocess
import sys
from pathlib import Path

TOOLS = Path(__file__).parents[2] / 'tools' / 'analysis_tools'


def test_whole_files_are_read_and_changed_ones_read_or_refused(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    from campaigns._annotation_files import worlds
    for number, world in enumerate(worlds()):
        world.write(tmp_path / str(number))
        items = world.read(tmp_path / str(number))
        assert sum(len(item['captions']) for item in items) >= 4
    command = [sys.executable, str(TOOLS / 'stress.py'), 'annotations', '--trials', '78', '--seed', '3']
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    row = dict(zip(*[iter(done.stdout.split())] * 2))
    assert row['kind'] == 'annotations' and row['trials'] == '78'
    assert row['wrong'] == row['crashed'] == '0' and int(row['right']) and int(row['refused'])
