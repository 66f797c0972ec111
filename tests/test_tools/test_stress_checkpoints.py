"""The campaign of flipped bits: never other content, and without checksums it would be."""
import stress
from campaigns import Verdict, checkpoints

from mmcma.utils import plain_loading


def test_no_flipped_bit_is_read_as_other_content(monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', ['stress.py', 'checkpoints', '--trials', '40', '--seed', '1'])
    stress.main()
    assert 'kind checkpoints  trials 40  seed 1' in (said := capsys.readouterr().out)
    assert 'wrong 0  crashed 0' in said


def test_without_the_checksums_most_would_be(tmp_path, monkeypatch):
    monkeypatch.setattr(plain_loading, '_damaged_record', lambda path: None)
    verdicts = [outcome.verdict for outcome in checkpoints.trials(20, 1, tmp_path)]
    assert verdicts.count(Verdict.WRONG) > 10
