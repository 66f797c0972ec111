"""The campaign of changed annotation files: none ends in another error than the project's own."""
import stress
from campaigns._annotation_files import worlds


def test_whole_files_are_read_and_changed_ones_read_or_refused(tmp_path, monkeypatch, capsys):
    for number, world in enumerate(worlds()):
        world.write(tmp_path / str(number))
        items = world.read(tmp_path / str(number))
        assert sum(len(item['captions']) for item in items) >= 4
    monkeypatch.setattr('sys.argv', ['stress.py', 'annotations', '--trials', '78', '--seed', '3'])
    stress.main()
    row = dict(zip(*[iter(capsys.readouterr().out.splitlines()[-1].split())] * 2))
    assert row['kind'] == 'annotations' and row['trials'] == '78'
    assert row['wrong'] == row['crashed'] == '0' and int(row['right']) and int(row['refused'])
