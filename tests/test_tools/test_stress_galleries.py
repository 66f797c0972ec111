"""The campaign of damaged galleries: no other answer than the right one."""
import pytest
import stress
from campaigns import Verdict, galleries

from mmcma.search import rows


@pytest.mark.slow
def test_a_damaged_gallery_is_right_or_refused(monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', ['stress.py', 'galleries', '--trials', '25', '--seed', '3'])
    stress.main()
    said = capsys.readouterr().out
    assert 'kind galleries  trials 25  seed 3' in said and 'wrong 0  crashed 0' in said


@pytest.mark.slow
def test_without_checksums_there_would_be_wrong_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, '_intact', lambda batch, *_: [True] * len(batch))
    assert any(outcome.verdict is Verdict.WRONG for outcome in galleries.trials(300, 0, tmp_path))
