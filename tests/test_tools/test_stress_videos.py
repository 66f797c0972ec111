"""tools/analysis_tools/stress.py videos: no damaged frame comes without an error."""
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / 'tools' / 'analysis_tools' / 'stress.py'


@pytest.mark.parametrize('seed', [1, 2])
def test_no_damaged_frame_without_an_error(seed):
    run = subprocess.run([sys.executable, TOOL, 'videos', '--trials', '26', '--seed', str(seed)], capture_output=True,
                         text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert f'kind videos  trials 26  seed {seed}' in run.stdout and 'wrong 0  crashed 0' in run.stdout
