"""tools/analysis_tools/stress.py videos: no damaged frame comes without an error."""
import pytest
import stress


@pytest.mark.parametrize('seed', [1, pytest.param(2, marks=pytest.mark.slow)])
def test_no_damaged_frame_without_an_error(seed, monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', ['stress.py', 'videos', '--trials', '26', '--seed', str(seed)])
    stress.main()
    said = capsys.readouterr().out
    assert f'kind videos  trials 26  seed {seed}' in said and 'wrong 0  crashed 0' in said
